-- The 50 products that sold most pieces in the last day, with views and carts: needs the metric products. A window has rows of
-- its greatest products only, so these sums may be too small.
SELECT
  dimension AS product_id,
  SUM(CASE WHEN metric = 'product_views' THEN event_count ELSE 0 END) AS views,
  SUM(CASE WHEN metric = 'product_carts' THEN event_count ELSE 0 END) AS carts,
  SUM(CASE WHEN metric = 'product_units' THEN event_count ELSE 0 END) AS units
FROM {table}
WHERE metric IN ('product_views', 'product_carts', 'product_units')
  AND dimension != '(other)'
  AND {since 1 DAY}
GROUP BY product_id
ORDER BY units DESC, carts DESC, views DESC, product_id
LIMIT 50;
