"""The pages of billing: pricing, the till, the settings, and the demo's clock."""
