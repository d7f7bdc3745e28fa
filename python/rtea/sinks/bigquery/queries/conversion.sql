-- The funnel by day and source over the last 30 days: events of each step, and purchases for each product view.
SELECT
  day,
  source,
  SUM(IF(event_type = 'product_view', event_count, 0)) AS product_views,
  SUM(IF(event_type = 'add_to_cart', event_count, 0)) AS cart_additions,
  SUM(IF(event_type = 'begin_checkout', event_count, 0)) AS checkouts,
  SUM(IF(event_type = 'purchase', event_count, 0)) AS purchases,
  SAFE_DIVIDE(
    SUM(IF(event_type = 'purchase', event_count, 0)),
    SUM(IF(event_type = 'product_view', event_count, 0))
  ) AS purchases_by_product_view
FROM (
  SELECT
    DATE(window_start) AS day,
    REGEXP_EXTRACT(dimension, r'_(mobile|website)$') AS source,
    REGEXP_EXTRACT(dimension, r'^(.+)_(?:mobile|website)$') AS event_type,
    event_count
  FROM `{table}`
  WHERE metric = 'event_count'
    AND window_start >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY)
)
GROUP BY day, source
ORDER BY day, source;
