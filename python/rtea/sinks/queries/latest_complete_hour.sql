-- The latest hour whose last window is final: its counts, revenue and merged distinct numbers.
SELECT
  {hour of window_start} AS hour,
  metric,
  dimension,
  currency,
  SUM(event_count) AS event_count,
  SUM(revenue) AS revenue,
  CASE WHEN COUNT(visitors_sketch) > 0 THEN {merged} END AS unique_visitors
FROM {table}
CROSS JOIN (
  SELECT {hour of MAX(window_end)} AS hour_end
  FROM {table}
  WHERE {since 2 DAY}
    AND metric != 'dead_letters'
    AND COALESCE(is_final, TRUE)
) AS newest
WHERE {since 3 DAY}
  AND window_start >= {hour_end - 1 HOUR}
  AND window_start < hour_end
GROUP BY hour, metric, dimension, currency
ORDER BY metric, dimension, currency;
