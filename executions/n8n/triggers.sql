-- What SAI Dashboard adds to n8n's database: two triggers on execution_entity and their two functions.
-- They send a hint (ids and short scalars, far below NOTIFY's 8000 bytes); the truth is read from the row.
--
-- Nothing here may ever hurt n8n:
--   * every statement stands inside BEGIN ... EXCEPTION, so an error costs a hint, never n8n's own write;
--   * the triggers have no column list and no WHEN clause: PostgreSQL would then refuse n8n's own migrations
--     that drop or retype one of those columns;
--   * a full notify queue makes the writer's COMMIT fail where no handler can catch it, so from half full on
--     no hint is sent: the dashboard's sweep finds the row all the same.

CREATE OR REPLACE FUNCTION sai_notify_execution_created() RETURNS trigger LANGUAGE plpgsql AS $sai$
BEGIN
  BEGIN
    IF NEW."workflowId" IN ({workflow_ids}) AND NEW.mode IS DISTINCT FROM 'manual'
       AND pg_catalog.pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_catalog.pg_notify('sai_execution_created', pg_catalog.json_build_object(
        'execution_id', NEW.id, 'workflow_id', NEW."workflowId", 'status', NEW.status)::text);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'sai_execution_created_trigger: %', SQLERRM;
  END;
  RETURN NULL;
END
$sai$;

CREATE OR REPLACE FUNCTION sai_notify_execution_completed() RETURNS trigger LANGUAGE plpgsql AS $sai$
BEGIN
  BEGIN
    IF NEW."workflowId" IN ({workflow_ids}) AND NEW.mode IS DISTINCT FROM 'manual'
       AND NEW.status IS DISTINCT FROM OLD.status
       AND NEW.status IN ('success', 'error', 'crashed', 'canceled')
       AND pg_catalog.pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_catalog.pg_notify('sai_execution_completed', pg_catalog.json_build_object(
        'execution_id', NEW.id, 'workflow_id', NEW."workflowId", 'status', NEW.status)::text);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'sai_execution_completed_trigger: %', SQLERRM;
  END;
  RETURN NULL;
END
$sai$;

DROP TRIGGER IF EXISTS sai_execution_created_trigger ON execution_entity;
CREATE TRIGGER sai_execution_created_trigger AFTER INSERT ON execution_entity
  FOR EACH ROW EXECUTE FUNCTION sai_notify_execution_created();

DROP TRIGGER IF EXISTS sai_execution_completed_trigger ON execution_entity;
CREATE TRIGGER sai_execution_completed_trigger AFTER UPDATE ON execution_entity
  FOR EACH ROW EXECUTE FUNCTION sai_notify_execution_completed();
