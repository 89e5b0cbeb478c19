package fn

// own are functions that PostgreSQL does not have, under numbers that it leaves free.
var own = []Func{
	{OID: 9701, Name: "hg_get_binlog_cursor", Ret: 2249, Args: []uint32{25, 25, 23}, Volatility: Volatile, Strict: true, RetSet: true, MayFail: true,
		OutNames: binlogCursor, OutTypes: []uint32{20, 20}},
	{OID: 9702, Name: "hg_get_binlog_cursor_by_lsn", Ret: 2249, Args: []uint32{25, 20, 23}, Volatility: Volatile, Strict: true, RetSet: true, MayFail: true,
		OutNames: binlogCursor, OutTypes: []uint32{20, 20}},
	{OID: 9703, Name: "hg_get_binlog_cursor_by_timestamp", Ret: 2249, Args: []uint32{25, 1184, 23}, Volatility: Volatile, Strict: true, RetSet: true, MayFail: true,
		OutNames: binlogCursor, OutTypes: []uint32{20, 20}},
	{OID: 9704, Name: "hg_shard_id_for_distribution_key", Ret: 23, Args: []uint32{25, 2276}, Variadic: 2276, Volatility: Stable, MayFail: true},
}

var binlogCursor = []string{"hg_binlog_lsn", "hg_binlog_timestamp_us"}
