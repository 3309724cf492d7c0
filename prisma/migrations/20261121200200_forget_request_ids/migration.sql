-- Clients choose the ids of their requests, so these may be personal, too.
CREATE OR REPLACE FUNCTION forget_audited_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE audit_events SET user_id = NULL, ip = NULL, user_agent = NULL, request_id = NULL, detail = NULL
  WHERE user_id = OLD.id;
  UPDATE audit_events SET actor_id = NULL, ip = NULL, user_agent = NULL, request_id = NULL WHERE actor_id = OLD.id;
  RETURN OLD;
END $$;
