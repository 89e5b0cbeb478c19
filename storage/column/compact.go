package column

import "context"

// Compact is being written.
func (t *Tablet) Compact(ctx context.Context) (*Edit, error) { return nil, nil }
