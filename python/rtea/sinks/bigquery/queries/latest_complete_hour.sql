-- A view of the latest hour whose last window is final: its counts, revenue and merged unique visitors.
CREATE OR REPLACE VIEW `{table}_latest_complete_hour` AS
WITH newest AS (
  SELECT TIMESTAMP_TRUNC(MAX(window_end), HOUR) AS hour_end
  FROM `{table}`
  WHERE window_start >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
    AND metric != 'dead_letters'
    AND IFNULL(is_final, TRUE)
)
SELECT
  TIMESTAMP_SUB(newest.hour_end, INTERVAL 1 HOUR) AS hour,
  metric,
  dimension,
  currency,
  SUM(event_count) AS event_count,
  SUM(revenue) AS revenue,
  IF(metric = 'unique_visitors', HLL_COUNT.MERGE(visitors_sketch), NULL) AS unique_visitors
FROM `{table}`, newest
WHERE window_start >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
  AND window_start >= TIMESTAMP_SUB(newest.hour_end, INTERVAL 1 HOUR)
  AND window_start < newest.hour_end
GROUP BY hour, metric, dimension, currency;
