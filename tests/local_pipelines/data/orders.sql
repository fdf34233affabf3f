-- A pipeline that is tested by the data beside it.
CREATE OR REFRESH STREAMING TABLE orders (
  CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION DROP ROW,
  CONSTRAINT sane EXPECT (amount < 1000) ON VIOLATION FAIL UPDATE
) AS SELECT * FROM STREAM(raw_orders);

CREATE MATERIALIZED VIEW totals AS
SELECT day, CAST(sum(amount) AS DECIMAL(9, 2)) AS total FROM orders GROUP BY day;

CREATE STREAMING TABLE notes AS SELECT * FROM STREAM read_files('${notes}', format => 'json', schema => 'text STRING');
