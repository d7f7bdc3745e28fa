-- Unique visitors by hour and source over the last two days: the sketches of the hour's windows, merged.
SELECT
  TIMESTAMP_TRUNC(window_start, HOUR) AS hour,
  dimension AS source,
  HLL_COUNT.MERGE(visitors_sketch) AS unique_visitors
FROM `{table}`
WHERE metric = 'unique_visitors'
  AND window_start >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 2 DAY)
GROUP BY hour, source
ORDER BY hour, source;
