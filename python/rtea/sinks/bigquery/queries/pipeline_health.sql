-- Refused and late events of the last day by hour and reason, beside the events that were counted.
SELECT
  TIMESTAMP_TRUNC(window_start, HOUR) AS hour,
  IF(metric = 'dead_letters', dimension, '') AS reason,
  SUM(event_count) AS events
FROM `{table}`
WHERE window_start >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)
  AND metric IN ('event_count', 'dead_letters')
GROUP BY hour, reason
ORDER BY hour, reason;
