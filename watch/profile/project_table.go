package profile

import (
	"math"

	"github.com/fairlead-ml/fairlead"
)

// FreeText says whether Learn would count a column of a table by its projections: texts of several words that hardly repeat.
func FreeText(source *fairlead.TableColumn, rows int) bool {
	if source.Strings == nil {
		return false
	}
	seen := make(map[string]int, rows)
	for i := range rows {
		if s, ok := text(source, i); ok {
			seen[key(s)]++
		}
	}
	return free(seen)
}

// ProjectTexts gives the projections of a column of texts as columns of numbers, named and made as Learn's are.
func ProjectTexts(source *fairlead.TableColumn, rows int) []fairlead.TableColumn {
	columns := make([]fairlead.TableColumn, len(textProjections))
	shapes := textShapes(source, rows)
	for i, p := range textProjections {
		c := fairlead.TableColumn{Name: source.Name + "." + string(p), Floats: make([]float64, rows), Null: source.Null}
		for row := range shapes {
			c.Floats[row] = shapes[row].value(p)
			if shapes[row].null {
				c.Floats[row] = math.NaN()
			}
		}
		columns[i] = c
	}
	return columns
}
