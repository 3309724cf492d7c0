-- The API caches who an access token stands for. Whatever ends a session, changes a user's
-- activity or roles, by the API or by hand, is announced in the transaction that does it.

CREATE FUNCTION announce_session_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('rind_principal', 'session:' || OLD.id);
  RETURN NULL;
END $$;

-- An expired session is in no cache, and the purge of many must not flood the listeners.
CREATE TRIGGER announce_session_end AFTER DELETE ON "sessions"
  FOR EACH ROW WHEN (OLD.expires_at > now()) EXECUTE FUNCTION announce_session_end();

CREATE FUNCTION announce_user_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('rind_principal', 'user:' || OLD.id);
  RETURN NULL;
END $$;

CREATE TRIGGER announce_user_deactivation AFTER UPDATE OF "is_active" ON "users"
  FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active)
  EXECUTE FUNCTION announce_user_change();

CREATE FUNCTION announce_role_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('rind_principal', 'user:' || coalesce(NEW.user_id, OLD.user_id));
  RETURN NULL;
END $$;

CREATE TRIGGER announce_role_change AFTER INSERT OR UPDATE OR DELETE ON "user_roles"
  FOR EACH ROW EXECUTE FUNCTION announce_role_change();
