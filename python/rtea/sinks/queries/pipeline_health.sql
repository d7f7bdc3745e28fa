-- Refused, skipped and late events of the last day by hour and reason, beside the events that were counted.
SELECT
  {hour of window_start} AS hour,
  CASE WHEN metric = 'dead_letters' THEN dimension ELSE '' END AS reason,
  SUM(event_count) AS events
FROM {table}
WHERE metric IN ('event_count', 'dead_letters')
  AND {since 1 DAY}
GROUP BY hour, reason
ORDER BY hour, reason;
