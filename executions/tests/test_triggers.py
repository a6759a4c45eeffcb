"""The triggers on n8n's table: they fire once for each change that matters, and never hurt n8n."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from conftest import N8nDatabase
from executions.n8n import triggers

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "n8n"])

WATCHED = "yDbfhooKemfhMIkC"
VERSIONS = ["1.60.1", "1.123.5", "2.41.1"]
CREATE = """
INSERT INTO execution_entity (finished, mode, status, "workflowId", "startedAt")
VALUES (false, %s, 'new', %s, now()) RETURNING id
"""


@pytest.fixture
def installed(n8n: N8nDatabase) -> Iterator[psycopg.Connection]:
    """A listening connection beside installed triggers."""
    triggers.install(n8n.connection, settings.N8N_WORKFLOW_IDS)
    with psycopg.connect(n8n.url, autocommit=True) as connection:
        connection.execute("LISTEN sai_execution_created")
        connection.execute("LISTEN sai_execution_completed")
        yield connection


def heard(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """(channel, status) of everything that was notified."""
    notifies = list(connection.notifies(timeout=0.2))
    return [
        (notify.channel.removeprefix("sai_execution_"), json.loads(notify.payload)["status"]) for notify in notifies
    ]


def create(n8n: N8nDatabase, mode: str = "webhook", workflow_id: str = WATCHED) -> int:
    row = n8n.execute(CREATE, (mode, workflow_id)).fetchone()
    assert row is not None
    return int(row[0])


def set_status(n8n: N8nDatabase, execution_id: int, *statuses: str) -> None:
    for status in statuses:
        n8n.execute("UPDATE execution_entity SET status = %s WHERE id = %s", (status, execution_id))


def test_other_workflows_and_manual_runs_wake_nobody(n8n: N8nDatabase, installed: psycopg.Connection) -> None:
    n8n.execute(
        """INSERT INTO workflow_entity (name, active, nodes, connections, id, "versionId")
           VALUES ('x', true, '[]', '{}', 'other', 'v')"""
    )
    for execution_id in (create(n8n, workflow_id="other"), create(n8n, mode="manual")):
        set_status(n8n, execution_id, "running", "success")
    assert heard(installed) == []


def test_changes_that_are_no_end_wake_nobody(n8n: N8nDatabase, installed: psycopg.Connection) -> None:
    execution_id = create(n8n)
    set_status(n8n, execution_id, "running", "running", "waiting", "running")
    assert heard(installed) == [("created", "new")]


def test_a_rolled_back_insert_wakes_nobody(n8n: N8nDatabase, installed: psycopg.Connection) -> None:
    with n8n.connection.transaction(force_rollback=True):
        create(n8n)
    assert heard(installed) == []


@pytest.mark.parametrize("n8n", VERSIONS, indirect=True)
@pytest.mark.parametrize("final", ["success", "error", "crashed", "canceled"])
def test_each_final_status_fires_once(n8n: N8nDatabase, installed: psycopg.Connection, final: str) -> None:
    execution_id = create(n8n)
    set_status(n8n, execution_id, "running", final, final)
    n8n.execute('UPDATE execution_entity SET "stoppedAt" = now() WHERE id = %s', (execution_id,))
    assert heard(installed) == [("created", "new"), ("completed", final)]


def test_a_final_status_that_changes_again_fires_again(n8n: N8nDatabase, installed: psycopg.Connection) -> None:
    execution_id = create(n8n)
    set_status(n8n, execution_id, "canceled", "error")
    assert heard(installed)[1:] == [("completed", "canceled"), ("completed", "error")]


def test_n8n_writes_on_when_a_function_of_ours_fails(n8n: N8nDatabase, installed: psycopg.Connection) -> None:
    n8n.execute('ALTER TABLE execution_entity RENAME COLUMN mode TO "runMode"')
    n8n.execute(
        """INSERT INTO execution_entity (finished, "runMode", status, "workflowId")
           VALUES (false, 'webhook', 'new', %s)""",
        (WATCHED,),
    )
    set_status(n8n, 1, "success")
    assert heard(installed) == []
    row = n8n.execute("SELECT status FROM execution_entity").fetchone()
    assert row == ("success",)


def test_n8n_may_drop_and_retype_its_columns(n8n: N8nDatabase, installed: psycopg.Connection) -> None:
    n8n.execute("ALTER TABLE execution_entity ALTER COLUMN status TYPE text, ALTER COLUMN id TYPE bigint")
    n8n.execute("ALTER TABLE execution_entity DROP COLUMN mode CASCADE")
    n8n.execute(
        """INSERT INTO execution_entity (finished, status, "workflowId") VALUES (false, 'new', %s)""", (WATCHED,)
    )


def test_a_huge_row_cannot_overflow_the_payload(n8n: N8nDatabase, installed: psycopg.Connection) -> None:
    n8n.execute("ALTER TABLE execution_entity ALTER COLUMN status TYPE text")
    execution_id = create(n8n)
    n8n.execute("UPDATE execution_entity SET \"retryOf\" = repeat('9', 20000), status = 'success'")
    assert heard(installed)[1:] == [("completed", "success")]
    assert execution_id


def test_installing_again_changes_nothing(n8n: N8nDatabase) -> None:
    assert triggers.install(n8n.connection, [WATCHED]) is True
    assert triggers.install(n8n.connection, [WATCHED]) is False
    assert triggers.check(n8n.connection, [WATCHED]) == []


CREATED = "ON execution_entity FOR EACH ROW {} EXECUTE FUNCTION sai_notify_execution_created()"
COMPLETED = "ON execution_entity FOR EACH ROW EXECUTE FUNCTION sai_notify_execution_completed()"
FUNCTION = "CREATE OR REPLACE FUNCTION sai_notify_execution_created() RETURNS trigger LANGUAGE plpgsql"
TAMPERINGS = {
    "DROP TRIGGER sai_execution_created_trigger ON execution_entity": "is missing",
    "ALTER TABLE execution_entity DISABLE TRIGGER sai_execution_completed_trigger": "is disabled",
    "ALTER TABLE execution_entity ENABLE REPLICA TRIGGER sai_execution_completed_trigger": "is disabled",
    f"{FUNCTION} AS 'BEGIN RETURN NULL; END'": "function",
    "ALTER FUNCTION sai_notify_execution_created() SECURITY DEFINER": "function",
    "CREATE OR REPLACE TRIGGER sai_execution_created_trigger AFTER INSERT "
    + CREATED.format("WHEN (NEW.status = 'x')"): "altered",
    f"CREATE OR REPLACE TRIGGER sai_execution_completed_trigger AFTER UPDATE OF finished {COMPLETED}": "altered",
    f"CREATE OR REPLACE TRIGGER sai_execution_created_trigger AFTER DELETE {CREATED.format('')}": "altered",
}


@pytest.mark.parametrize(("tampering", "finding"), TAMPERINGS.items())
def test_drift_is_found_and_repaired(n8n: N8nDatabase, tampering: str, finding: str) -> None:
    triggers.install(n8n.connection, [WATCHED])
    n8n.execute(tampering)
    problems = triggers.check(n8n.connection, [WATCHED])
    assert len(problems) == 1 and finding in problems[0]
    triggers.install(n8n.connection, [WATCHED])
    assert triggers.check(n8n.connection, [WATCHED]) == []


def test_another_set_of_workflows_is_drift(n8n: N8nDatabase) -> None:
    triggers.install(n8n.connection, [WATCHED])
    assert len(triggers.check(n8n.connection, [WATCHED, "another"])) == 2


def test_removing_leaves_nothing(n8n: N8nDatabase) -> None:
    triggers.install(n8n.connection, [WATCHED])
    assert triggers.remove(n8n.connection) is True
    left = n8n.execute(
        """SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'sai%')
                + (SELECT count(*) FROM pg_proc WHERE proname LIKE 'sai%')"""
    ).fetchone()
    assert left == (0,)
    assert triggers.remove(n8n.connection) is False


@pytest.mark.parametrize("workflow_ids", [[], ["a'); DROP TABLE x; --"], ["x" * 37], [""]])
def test_ids_that_n8n_cannot_have_made_are_refused(workflow_ids: list[str]) -> None:
    with pytest.raises(triggers.TriggerError):
        triggers.sql(workflow_ids)


def test_a_database_without_n8n_is_named_as_such(n8n: N8nDatabase) -> None:
    n8n.execute("DROP TABLE execution_entity CASCADE")
    with pytest.raises(CommandError, match="has no table execution_entity"):
        call_command("install_n8n_triggers")


def test_a_schema_of_its_own_is_found(n8n: N8nDatabase) -> None:
    n8n.execute("CREATE SCHEMA camera_flows")
    n8n.execute("ALTER TABLE execution_entity SET SCHEMA camera_flows")
    n8n.execute("SET search_path TO camera_flows")
    triggers.install(n8n.connection, [WATCHED])
    row = n8n.execute(
        "SELECT pronamespace::regnamespace::text FROM pg_proc WHERE proname = 'sai_notify_execution_created'"
    )
    assert row.fetchone() == ("camera_flows",)
    n8n.execute("DROP SCHEMA camera_flows CASCADE")


def test_a_busy_table_is_not_waited_for(n8n: N8nDatabase) -> None:
    with psycopg.connect(n8n.url) as other:
        other.execute("LOCK TABLE execution_entity IN ROW EXCLUSIVE MODE")
        with pytest.raises(CommandError, match="busy"):
            call_command("install_n8n_triggers")


def test_the_command_checks_installs_and_removes(n8n: N8nDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="missing"):
        call_command("install_n8n_triggers", "--check")
    call_command("install_n8n_triggers")
    call_command("install_n8n_triggers", "--check")
    call_command("install_n8n_triggers", "--remove")
    assert "Removed the triggers." in capsys.readouterr().out


def test_printed_sql_installs_what_check_expects(n8n: N8nDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("install_n8n_triggers", "--sql")
    n8n.execute(capsys.readouterr().out)
    assert triggers.check(n8n.connection, settings.N8N_WORKFLOW_IDS) == []


def test_a_role_that_may_only_read_is_told_what_to_do(n8n: N8nDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    n8n.execute("DROP ROLE IF EXISTS sai_reader")
    n8n.execute("CREATE ROLE sai_reader LOGIN PASSWORD 'test'")
    n8n.execute("GRANT USAGE ON SCHEMA public TO sai_reader")
    n8n.execute("GRANT SELECT ON execution_entity, execution_data TO sai_reader")
    url = psycopg.conninfo.make_conninfo(n8n.url, user="sai_reader", password="test")
    monkeypatch.setenv("N8N_ADMIN_DATABASE_URL", url)
    with pytest.raises(CommandError, match="may not create triggers"):
        call_command("install_n8n_triggers")
    n8n.execute("DROP OWNED BY sai_reader")
    n8n.execute("DROP ROLE sai_reader")
