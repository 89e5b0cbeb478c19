package eval

import "github.com/millrace/millrace/storage/vec"

// regAdvisory registers the functions of advisory locks, which the session answers.
func regAdvisory() {
	answer := func(c *Call, i int) (bool, error) {
		s := c.Env.session()
		var id int64
		pair := len(c.Args) == 2
		switch {
		case pair:
			id = int64(c.I32(0, i))<<32 | int64(uint32(c.I32(1, i)))
		case len(c.Args) == 1:
			id = c.I64(0, i)
		}
		return s.Advisory(s.Waiting(), c.Fn.Name, id, pair)
	}
	void := each(func(c *Call, i int) error {
		c.Out.Views[i] = vec.View{}
		_, err := answer(c, i)
		return err
	})
	truth := each(func(c *Call, i int) error {
		ok, err := answer(c, i)
		c.RetBool(i, ok)
		return err
	})
	of := func(l Loop) impl {
		return impl{prepare: func(pc *prepareContext) (Loop, error) {
			if s := pc.env.session(); s.Advisory == nil || s.Waiting == nil {
				return nil, unsupported(pc.fn)
			}
			return l, nil
		}}
	}
	for _, args := range []string{"(int8)", "(int4,int4)"} {
		for _, kind := range []string{"", "_shared"} {
			for _, until := range []string{"", "_xact"} {
				reg("pg_advisory"+until+"_lock"+kind+args, of(void))
				reg("pg_try_advisory"+until+"_lock"+kind+args, of(truth))
			}
			reg("pg_advisory_unlock"+kind+args, of(truth))
		}
	}
	reg("pg_advisory_unlock_all", of(void))
}
