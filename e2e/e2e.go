// Package e2e starts the real binary and looks at it from outside. Its tests need bin/fairlead: FAIRLEAD_BIN names
// another one, and without either the binary is built once.
package e2e
