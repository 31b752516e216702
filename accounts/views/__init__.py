"""The pages about people: switching and settings, members, invitations."""
