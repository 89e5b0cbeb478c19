-- The demo's schema: a ride-hailing business whose changes arrive through Kafka.
-- It is ordinary SQL: copy what you need, and put your broker's address in place of
-- 127.0.0.1:19092.

-- Tables ---------------------------------------------------------------------------

CREATE TABLE cities (
    city_id    int PRIMARY KEY,
    name       text NOT NULL,
    country    text,
    time_zone  text,
    lat        float8,
    lon        float8
) WITH (orientation = 'column');

CREATE TABLE drivers (
    driver_id         bigint PRIMARY KEY,
    name              text,
    city_id           int,
    vehicle           text,
    rating            numeric(4, 2),
    status            text,
    current_order_id  bigint,
    updated_at        timestamptz
) WITH (orientation = 'column');

-- Every change of an order is kept for a day, and can be selected:
--   SELECT hg_binlog_lsn, hg_binlog_event_type, hg_binlog_timestamp_us, * FROM orders;
CREATE TABLE orders (
    order_id       bigint PRIMARY KEY,
    customer_id    bigint NOT NULL,
    driver_id      bigint,
    city_id        int NOT NULL,
    status         text NOT NULL,
    distance_m     int,
    fare           numeric(10, 2),
    cancel_reason  text,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz
) WITH (orientation = 'column', clustering_key = 'created_at', binlog_level = 'replica', binlog_ttl = '86400');

CREATE TABLE payments (
    payment_id  bigint PRIMARY KEY,
    order_id    bigint NOT NULL,
    method      text,
    amount      numeric(10, 2) NOT NULL,
    tip         numeric(10, 2),
    card        jsonb,
    paid_at     timestamptz
) WITH (orientation = 'column');

-- Where the drivers are; no key, rows are only added.
CREATE TABLE positions (
    driver_id  bigint NOT NULL,
    at         timestamptz NOT NULL,
    lat        float8,
    lon        float8,
    speed_kmh  float4,
    device     jsonb
) WITH (orientation = 'column', clustering_key = 'at');

-- Subscriptions ----------------------------------------------------------------------

-- Three tables of a PostgreSQL database, as Debezium writes their changes. The connector
-- was told decimal.handling.mode = string.
CREATE SUBSCRIPTION cities CONNECTION 'kafka://127.0.0.1:19092' PUBLICATION "ride.public.cities"
    WITH (format = 'debezium-json', target = 'public.cities', on_error = 'dead_letter');

CREATE SUBSCRIPTION drivers CONNECTION 'kafka://127.0.0.1:19092' PUBLICATION "ride.public.drivers"
    WITH (format = 'debezium-json', target = 'public.drivers', decimal_handling_mode = 'string', on_error = 'dead_letter');

CREATE SUBSCRIPTION orders CONNECTION 'kafka://127.0.0.1:19092' PUBLICATION "ride.public.orders"
    WITH (format = 'debezium-json', target = 'public.orders', decimal_handling_mode = 'string', on_error = 'dead_letter');

-- Plain JSON, one row a message: upserted by the table's key …
CREATE SUBSCRIPTION payments CONNECTION 'kafka://127.0.0.1:19092' PUBLICATION "ride.payments"
    WITH (format = 'json', target = 'public.payments', on_error = 'dead_letter');

-- … and appended. The position is inside an object; a few messages are broken, and go to
-- the error table.
CREATE SUBSCRIPTION positions CONNECTION 'kafka://127.0.0.1:19092' PUBLICATION "ride.positions"
    WITH (format = 'json', target = 'public.positions', mode = 'append', timestamp_unit = 'ms',
          paths = 'lat = gps.lat, lon = gps.lon', on_error = 'dead_letter');

-- Questions to try ---------------------------------------------------------------------

-- What is going on right now?
--   SELECT status, count(*), sum(fare) FROM orders GROUP BY status ORDER BY 2 DESC;
--
-- The last minute by city, with the rate of cancellations:
--   SELECT c.name, count(*) AS orders, count(*) FILTER (WHERE o.status = 'cancelled') * 100 / count(*) AS cancelled_percent, sum(o.fare) AS fares
--   FROM orders o JOIN cities c USING (city_id)
--   WHERE o.created_at > now() - interval '1 minute'
--   GROUP BY c.name ORDER BY orders DESC;
--
-- Who waits longest for a driver?
--   SELECT order_id, now() - created_at AS waiting FROM orders WHERE status = 'placed' ORDER BY created_at LIMIT 10;
--
-- One order's life, from the binlog (5 insert, 3 and 7 before and after an update, 2 delete):
--   SELECT hg_binlog_lsn, hg_binlog_event_type, status, driver_id, updated_at FROM orders WHERE order_id = 1000 ORDER BY hg_binlog_lsn;
--
-- Tips by card:
--   SELECT card->>'brand' AS brand, count(*), avg(tip) FROM payments GROUP BY 1;
--
-- How far behind, and what went wrong?
--   SELECT * FROM pg_stat_subscription;
--   SELECT relname, n_live_tup, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'public';
--   SELECT * FROM millrace_errors.positions ORDER BY time DESC LIMIT 5;
