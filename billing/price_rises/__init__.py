"""Price rises: who pays an older price keeps it until a campaign says otherwise, told ahead and one by one."""
