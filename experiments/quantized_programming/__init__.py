"""What writing costs and what time leaves of it: resistors and digital switches against analog cells."""
