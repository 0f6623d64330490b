"""Every change of partners, contracts and credentials, each with its evidence in one transaction."""
