-- The funnel by day and source over the last 30 days: events of each step, and purchases for each product view.
SELECT
  DATE(window_start) AS day,
  REGEXP_EXTRACT(dimension, r'_(mobile|website)$') AS source,
  SUM(IF(STARTS_WITH(dimension, 'product_view_'), event_count, 0)) AS product_views,
  SUM(IF(STARTS_WITH(dimension, 'add_to_cart_'), event_count, 0)) AS cart_additions,
  SUM(IF(STARTS_WITH(dimension, 'begin_checkout_'), event_count, 0)) AS checkouts,
  SUM(IF(STARTS_WITH(dimension, 'purchase_'), event_count, 0)) AS purchases,
  SAFE_DIVIDE(
    SUM(IF(STARTS_WITH(dimension, 'purchase_'), event_count, 0)),
    SUM(IF(STARTS_WITH(dimension, 'product_view_'), event_count, 0))
  ) AS purchases_by_product_view
FROM `{table}`
WHERE metric = 'event_count'
  AND window_start >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY)
GROUP BY day, source
ORDER BY day, source;
