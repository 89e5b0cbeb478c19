package tablet

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// history has the catalog versions that snapshots may read, by CSN.
type history struct {
	mu       sync.RWMutex
	versions []versionAt // ascending
	last     atomic.Pointer[versionAt]
}

type versionAt struct {
	csn storage.CSN
	v   *catalog.Version
}

// at is the catalog of a snapshot at csn.
func (h *history) at(csn storage.CSN) *catalog.Version {
	if l := h.last.Load(); l != nil && l.csn <= csn {
		return l.v
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	i := len(h.versions) - 1
	for i > 0 && h.versions[i].csn > csn {
		i--
	}
	return h.versions[i].v
}

// newest is the catalog with all commits that have a number.
func (h *history) newest() *catalog.Version {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.versions[len(h.versions)-1].v
}

func (h *history) add(csn storage.CSN, v *catalog.Version) {
	h.mu.Lock()
	h.versions = append(h.versions, versionAt{csn, v})
	h.last.Store(&versionAt{csn, v})
	h.mu.Unlock()
}

// prune forgets versions that no snapshot at or above oldest reads.
func (h *history) prune(oldest storage.CSN) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := 0
	for i+1 < len(h.versions) && h.versions[i+1].csn <= oldest {
		i++
	}
	h.versions = append([]versionAt(nil), h.versions[i:]...)
}
