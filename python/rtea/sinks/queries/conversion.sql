-- The funnel by day and source over the last 30 days, in sessions: needs the metric funnel. Conversion is purchases by
-- product views; abandonment is the share of carts without a purchase.
SELECT
  day,
  source,
  product_views,
  carts,
  checkouts,
  payments,
  purchases,
  purchases / NULLIF(product_views, 0) AS conversion,
  1 - purchases / NULLIF(carts, 0) AS cart_abandonment
FROM (
  SELECT
    day,
    source,
    COALESCE(MAX(CASE WHEN step = 'product_view' THEN sessions END), 0) AS product_views,
    COALESCE(MAX(CASE WHEN step = 'add_to_cart' THEN sessions END), 0) AS carts,
    COALESCE(MAX(CASE WHEN step = 'begin_checkout' THEN sessions END), 0) AS checkouts,
    COALESCE(MAX(CASE WHEN step = 'add_payment_info' THEN sessions END), 0) AS payments,
    COALESCE(MAX(CASE WHEN step = 'purchase' THEN sessions END), 0) AS purchases
  FROM (
    SELECT
      {day of window_start} AS day,
      step,
      SUBSTR(dimension, LENGTH(step) + 2) AS source,
      {merged} AS sessions
    FROM {table}
    JOIN (
      SELECT 'product_view' AS step
      UNION ALL SELECT 'add_to_cart'
      UNION ALL SELECT 'begin_checkout'
      UNION ALL SELECT 'add_payment_info'
      UNION ALL SELECT 'purchase'
    ) AS steps ON STARTS_WITH(dimension, CONCAT(step, '_'))
    WHERE metric = 'funnel'
      AND {since 30 DAY}
    GROUP BY day, step, source
  ) AS reached
  GROUP BY day, source
) AS counted
ORDER BY day, source;
