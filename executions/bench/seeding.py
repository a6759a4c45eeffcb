"""A history of any length: the same executions on both sides, with all that a card shows, straight in SQL."""

from datetime import UTC, datetime, timedelta

import psycopg

from executions.bench.lab import Lab

REGISTRY = """
INSERT INTO monitoring_nodes (device_id, name, description, time_zone, software_version)
SELECT 'bench-node-' || i, 'Node ' || i, '', '', '' FROM generate_series(1, 6) i ON CONFLICT DO NOTHING;
INSERT INTO node_cameras (node_id, camera_id, camera_type, facing, is_active)
SELECT id, 'cam' || i, '', '', true FROM monitoring_nodes, generate_series(1, 4) i ON CONFLICT DO NOTHING
"""

# One in a hundred is a detection.
OURS = """
INSERT INTO sai_executions (execution_id, workflow_id, status, mode, n8n_created_at, started_at, completed_at,
  duration_ms, camera_metadata, camera_id, node_id, captured_at, image_original_path, image_webp_path,
  image_thumb_path, image_size_bytes, image_width, image_height, image_format, image_sha256, image_is_truncated,
  phase1_at, phase2_at, extraction_notes, contract, etl_version, risk_level, alert_level, confidence_score,
  detection_count, has_smoke, has_fire, telegram_sent, created_at, updated_at)
SELECT i, %(workflow_id)s, 'success', 'webhook', at, at, at + interval '5 s', 5000,
  jsonb_build_object('camera_id', c.camera_id, 'device_id', 'bench-node', 'location', 'Molinari'), c.id, c.node_id, at,
  'original/' || i / 1000 || '/' || i || '.jpg', 'webp/' || i / 1000 || '/' || i || '.webp',
  'thumb/' || i / 1000 || '/' || i || '.webp', 530452, 1920, 1080, 'jpeg', repeat(md5(i::text), 2), false,
  at, at, '{}', 'by_name', '1', CASE WHEN i %% 100 = 0 THEN 'high' ELSE 'none' END, 'none', 0.8, i %% 100 / 99,
  i %% 100 = 0, false, i %% 100 = 0, at, at
FROM generate_series(%(first)s::bigint, %(last)s) i
JOIN (SELECT row_number() OVER (ORDER BY id) - 1 AS n, id, node_id, camera_id FROM node_cameras) c ON c.n = i %% 24,
LATERAL (SELECT %(newest)s::timestamptz - (%(last)s - i) * interval '30 s' AS at) t
"""

RESULTS = """
INSERT INTO sai_inference_results (execution_id, model_name, detections, risk_level, alert_level, confidence_score,
  raw_response, created_at)
SELECT i, 'SAINet_v10.0', '[{"class": "smoke", "confidence": 0.74, "bbox": [0.4, 0.35, 0.15, 0.33]}]', 'none', 'none',
  0.8, 'No smoke or fire is visible.', now() FROM generate_series(%(first)s::bigint, %(last)s) i
"""

NOTIFICATIONS = """
INSERT INTO sai_notifications (execution_id, telegram_sent, created_at)
SELECT i, true, now() FROM generate_series(%(first)s::bigint, %(last)s) i
"""

N8N = """
INSERT INTO execution_entity (id, finished, mode, status, "workflowId", "createdAt", "startedAt", "stoppedAt")
SELECT i, true, 'webhook', 'success', %(workflow_id)s, at, at, at + interval '5 s'
FROM generate_series(%(first)s::int, %(last)s) i,
LATERAL (SELECT %(newest)s::timestamptz - (%(last)s - i) * interval '30 s' AS at) t
"""


def history(lab: Lab, first: int, last: int) -> None:
    """Executions `first` to `last`, 30 seconds apart: recorded, with results and messages."""
    values = _values(lab, first, last)
    with psycopg.connect(lab.ours, autocommit=True) as ours:
        ours.execute(REGISTRY.encode())
        ours.execute("SET synchronous_commit = off")
        for statement in (OURS, RESULTS, NOTIFICATIONS):
            ours.execute(statement.encode(), values)
        ours.execute("VACUUM ANALYZE sai_executions, sai_inference_results, sai_notifications, node_cameras")
    in_n8n(lab, first, last)


def in_n8n(lab: Lab, first: int, last: int) -> None:
    """The same executions as n8n holds them, without their data."""
    with psycopg.connect(lab.n8n, autocommit=True) as n8n:
        n8n.execute("SET synchronous_commit = off")
        # They happened long ago: nobody is told of them now.
        n8n.execute("ALTER TABLE execution_entity DISABLE TRIGGER USER")
        n8n.execute(N8N.encode(), _values(lab, first, last))
        n8n.execute("ALTER TABLE execution_entity ENABLE TRIGGER USER")
        n8n.execute(
            "SELECT setval('execution_entity_id_seq', greatest(last_value, %s)) FROM execution_entity_id_seq", (last,)
        )
        n8n.execute("VACUUM ANALYZE execution_entity")


def _values(lab: Lab, first: int, last: int) -> dict[str, object]:
    # The time goes with the id, so that what is added later is newer than what is there.
    newest = datetime(2026, 2, 1, tzinfo=UTC) + timedelta(seconds=30 * last)
    return {"first": first, "last": last, "newest": newest, "workflow_id": lab.workflow_id}
