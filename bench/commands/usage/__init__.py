"""What each verb says of itself and accepts: a module a verb, imported without what the verb runs."""
