package session

// Prompt implements pgwire.Prompter. Prompt are the plans that need no pipeline, of
// constants and of rows by key: such a look-up takes
// what is published, without a snapshot, a lock or an account.
func (s *Session) Prompt(on bool) { s.prompt = on }

// isPrompt says whether a statement may be run where nothing may wait. What then turns
// out to need a snapshot ends in ErrNotPrompt, before anything of it was done.
func (s *Session) isPrompt(p *prepared) bool {
	if p.empty {
		return true
	}
	if p.known == nil || p.known.quick == nil || !s.byItself() || !s.set.quick().quick {
		return false
	}
	return p.known.quick.Table() == nil || p.known.quick.Points(s.eng.Store)
}
