"""The only place with SQLAlchemy: implements the ports on SQLite and PostgreSQL with the same statements."""
