-- Unique visitors by day and source over the last 30 days: sketches merge over any span, sums of uniques do not.
SELECT
  DATE(window_start) AS day,
  dimension AS source,
  HLL_COUNT.MERGE(visitors_sketch) AS unique_visitors
FROM `{table}`
WHERE metric = 'unique_visitors'
  AND window_start >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY)
GROUP BY day, source
ORDER BY day, source;
