package cloud

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fairlead-ml/fairlead"
)

// models are those that SageMaker has loaded, by the names that it gave them.
type models struct {
	mu     sync.Mutex
	loaded map[string]*model
}

type model struct {
	url        string
	deployment string
	busy       bool // being loaded or unloaded
}

// modelBody is a model as SageMaker sees it.
type modelBody struct {
	Name string `json:"modelName"`
	URL  string `json:"modelUrl"`
}

const pageSize = 100

// multiModel answers everything under /models.
func (h *Handler) multiModel(w http.ResponseWriter, r *http.Request) error {
	rest := strings.Trim(strings.TrimPrefix(r.URL.Path, "/models"), "/")
	name, action, _ := strings.Cut(rest, "/")
	switch {
	case rest == "" && r.Method == http.MethodPost:
		return h.load(w, r)
	case rest == "":
		if h.only(r, http.MethodGet) != nil {
			return &wrongMethod{r.URL.Path, r.Method, "GET, POST"}
		}
		return h.list(w, r)
	case action == "invoke":
		if err := h.only(r, http.MethodPost); err != nil {
			return err
		}
		m, err := h.models.get(name)
		if err != nil {
			return err
		}
		return h.invoke(w, r, m.deployment)
	case action != "":
		return fairlead.NotFound("there is nothing at %.200s", r.URL.Path).Hintf("POST /models/NAME/invoke predicts")
	case r.Method == http.MethodDelete:
		return h.unload(w, r, name)
	}
	if h.only(r, http.MethodGet) != nil {
		return &wrongMethod{r.URL.Path, r.Method, "GET, DELETE"}
	}
	m, err := h.models.get(name)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, modelBody{Name: name, URL: m.url})
	return nil
}

// get is a copy of a loaded model.
func (m *models) get(name string) (model, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.loaded[name]; one != nil && !one.busy {
		return *one, nil
	}
	return model{}, fairlead.NotFound("the model %.100q is not loaded", name).Hintf("POST /models loads one")
}

// load answers POST /models.
func (h *Handler) load(w http.ResponseWriter, r *http.Request) error {
	if h.o.Loader == nil {
		return fairlead.Errorf(fairlead.CodeUnsupported, "this server loads no models by path")
	}
	var body struct {
		Name string `json:"model_name"`
		URL  string `json:"url"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body); err != nil || body.Name == "" || body.URL == "" {
		return fairlead.Invalid("the body does not say which model to load from where").
			Hintf(`expected {"model_name":"…","url":"%s/…/model"}`, h.c.ModelsRoot)
	}
	if strings.ContainsRune(body.Name, '/') {
		return fairlead.Invalid("the model's name %.100q has a slash", body.Name)
	}
	one := &model{url: body.URL, deployment: deploymentName(body.Name), busy: true}
	if err := h.models.claim(body.Name, one); err != nil {
		return err
	}
	if err := h.loadFrom(r, one); err != nil {
		h.models.forget(body.Name)
		return err
	}
	h.models.settle(one)
	h.o.Log.Info("loaded a model", "model", body.Name, "deployment", one.deployment, "url", body.URL)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handler) loadFrom(r *http.Request, one *model) error {
	dir, err := h.allowed(one.url)
	if err != nil {
		return err
	}
	found, err := Find(os.DirFS(dir), one.deployment)
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fairlead.Invalid("there are %d models in %s; expected one", len(found), one.url)
	}
	return h.o.Loader.LoadPath(r.Context(), one.deployment, filepath.Join(dir, filepath.FromSlash(found[0].Path)))
}

// allowed is the folder of a URL if it lies under the contract's root, links resolved.
func (h *Handler) allowed(url string) (string, error) {
	dir := strings.TrimPrefix(url, "file://")
	if !filepath.IsAbs(dir) {
		return "", fairlead.Invalid("the model's url is %.200q; expected a folder of this machine, like %s/…/model", url, h.c.ModelsRoot)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fairlead.Invalid("there is no model at %.200s", url).Cause(err)
	}
	root, err := filepath.EvalSymlinks(h.c.ModelsRoot)
	if err != nil {
		root = filepath.Clean(h.c.ModelsRoot)
	}
	if !strings.HasPrefix(real, root+string(filepath.Separator)) {
		return "", fairlead.Invalid("the model's url %.200s is outside of %s", url, h.c.ModelsRoot).
			Hintf("models are loaded from under that folder only")
	}
	if info, err := os.Stat(real); err != nil || !info.IsDir() {
		return "", fairlead.Invalid("the model's url %.200s is not a folder", url)
	}
	return real, nil
}

func (m *models) claim(name string, one *model) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loaded[name] != nil {
		return fairlead.Errorf(fairlead.CodeConflict, "the model %.100q is loaded already", name).
			Hintf("DELETE /models/NAME unloads it")
	}
	m.loaded[name] = one
	return nil
}

func (m *models) settle(one *model) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one.busy = false
}

func (m *models) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.loaded, name)
}

// unload answers DELETE /models/NAME.
func (h *Handler) unload(w http.ResponseWriter, r *http.Request, name string) error {
	one, err := h.models.take(name)
	if err != nil {
		return err
	}
	if err := h.o.Loader.Unload(r.Context(), one.deployment); err != nil && fairlead.CodeOf(err) != fairlead.CodeNotFound {
		h.models.settle(one)
		return err
	}
	h.models.forget(name)
	h.o.Log.Info("unloaded a model", "model", name, "deployment", one.deployment)
	w.WriteHeader(http.StatusOK)
	return nil
}

// take marks a loaded model as busy.
func (m *models) take(name string) (*model, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.loaded[name]
	if one == nil {
		return nil, fairlead.NotFound("the model %.100q is not loaded", name)
	}
	if one.busy {
		return nil, fairlead.Errorf(fairlead.CodeConflict, "the model %.100q is being loaded or unloaded", name)
	}
	one.busy = true
	return one, nil
}

// list answers GET /models, a page at a time in the order of the names. The token of a page is the name before it.
func (h *Handler) list(w http.ResponseWriter, r *http.Request) error {
	limit := pageSize
	if s := r.URL.Query().Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fairlead.Invalid("limit is %.40q; expected a number from 1", s)
		}
		limit = min(n, pageSize)
	}
	after := r.URL.Query().Get("next_page_token")
	answer := struct {
		Models []modelBody `json:"models"`
		Next   string      `json:"nextPageToken,omitempty"`
	}{Models: []modelBody{}}
	for _, m := range h.models.after(after) {
		if len(answer.Models) == limit {
			answer.Next = answer.Models[limit-1].Name
			break
		}
		answer.Models = append(answer.Models, m)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (m *models) after(name string) []modelBody {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []modelBody
	for n, one := range m.loaded {
		if n > name && !one.busy {
			list = append(list, modelBody{Name: n, URL: one.url})
		}
	}
	slices.SortFunc(list, func(a, b modelBody) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// deploymentName is the name under which a model is deployed: its own if it can be one, else a folded one with a hash, so
// that two models never share one.
func deploymentName(name string) string {
	if n, err := fairlead.ParseName(name); err == nil {
		return string(n)
	}
	sum := sha256.Sum256([]byte(name))
	folded := string(foldName(name))
	return folded[:min(len(folded), 47)] + "-" + hex.EncodeToString(sum[:8])
}
