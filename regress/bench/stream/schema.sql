-- The table and subscription that regress/bench/stream loads.
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer int,
    city text,
    status text,
    amount numeric(10, 2),
    distance double precision,
    note text,
    changed timestamp(3)
) WITH (binlog_level = 'replica');

CREATE SUBSCRIPTION orders_in CONNECTION 'kafka://127.0.0.1:19092' PUBLICATION "orders"
    WITH (format = 'debezium-json', decimal_handling_mode = 'string', target = 'orders', on_error = 'dead_letter');
