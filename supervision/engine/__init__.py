"""The rooms that know Celery: transport, worker steps, and how outbox entries become messages."""
