package tablet

// MemoryUse is what a store holds in memory, in bytes.
type MemoryUse struct {
	// Memtables are those of column tablets, Filters the filters of their files' keys.
	Memtables, Filters int64
	// Cache has the strings of compressed blocks.
	Cache int64
	// RowMemtables and RowCache are of the store of row tablets and the catalog.
	RowMemtables, RowCache int64
}

// MemoryUse measures.
func (s *Store) MemoryUse() MemoryUse {
	u := MemoryUse{Filters: s.filters.Bytes(), Cache: s.cache.Bytes()}
	for _, sh := range s.allShards() {
		u.Memtables += sh.col.LiveBytes()
	}
	m := s.db.Metrics()
	u.RowMemtables, u.RowCache = int64(m.MemTable.Size+m.MemTable.ZombieSize)+s.runs.Bytes()+s.runs.Held(), m.BlockCache.Size
	return u
}
