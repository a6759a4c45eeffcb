from django.db import migrations

CREATE = """
CREATE VIEW etl_queue_health AS
SELECT count(*) FILTER (WHERE status = 'pending') AS pending_count,
       count(*) FILTER (WHERE status = 'processing') AS processing_count,
       count(*) FILTER (WHERE status = 'completed') AS completed_count,
       count(*) FILTER (WHERE status = 'failed') AS failed_count,
       avg(processing_time_ms) FILTER (WHERE status = 'completed') AS avg_processing_time_ms,
       min(queued_at) FILTER (WHERE status = 'pending') AS oldest_pending
FROM etl_processing_queue
"""


class Migration(migrations.Migration):
    """The view that dashboards and people with psql ask how extraction is doing."""

    dependencies = [("executions", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, "DROP VIEW etl_queue_health")]
