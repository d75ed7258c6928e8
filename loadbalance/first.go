package loadbalance

type first struct{}

func (first) Build(View) Policy { return first{} }

func (first) Next(v View) int {
	for i := range v.Len() {
		if !v.Skip(i) {
			return i
		}
	}
	return 0
}
