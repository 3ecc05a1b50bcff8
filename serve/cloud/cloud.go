// Package cloud lets one binary run as the serving container of Amazon SageMaker, Google Vertex AI and Azure Machine
// Learning: it finds out where it runs, which address and paths are expected there and where the model lies, and maps
// those paths onto the inference handler. It decides from what it is given and listens to nothing itself.
package cloud

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Platform is whose contract a server keeps.
type Platform string

// Platforms, and what a person may ask for instead of one.
const (
	SageMaker Platform = "sagemaker"
	Vertex    Platform = "vertex"
	Azure     Platform = "azure"

	Auto Platform = "auto" // found out by Detect
	None Platform = "none"
)

// Contract is what a platform expects of its container.
type Contract struct {
	Platform Platform
	Why      string // what told Detect, for the log

	Address    string // where to listen, on all interfaces
	Liveness   string // GET: 200 while the process answers; "" where the platform does not ask
	Readiness  string // GET: 200 when the default model answers
	Predict    string // POST
	MultiModel bool   // SageMaker: models come and go by POST and DELETE /models

	ModelDir   string        // where the platform puts the model's files; "": nowhere
	ModelsRoot string        // POST /models loads only from under this folder
	Model      string        // the default model's name; "": the only one
	StopWithin time.Duration // from SIGTERM; the platform kills the process some seconds later
}

// Surroundings are what Detect looks at.
type Surroundings struct {
	Env    func(string) string    // os.Getenv
	Args   []string               // without the program's name
	Exists func(path string) bool // whether there is such a folder
}

// Detect works out the contract to keep. wanted is a Platform, Auto or None; the empty string means the variable
// FAIRLEAD_CLOUD, and Auto if that is not set. Under Auto these tell, in this order:
//
//   - AIP_HTTP_PORT, AIP_PREDICT_ROUTE or AIP_HEALTH_ROUTE: Vertex AI.
//   - SAGEMAKER_BIND_TO_PORT or SAGEMAKER_MULTI_MODEL: SageMaker. SageMaker starts a container with the only argument
//     "serve" and a folder /opt/ml/model; that tells too.
//   - AZUREML_MODEL_DIR: Azure Machine Learning.
//
// It is false where the server is on its own. The error is CodeInvalid, for a word or a variable that cannot be meant.
func Detect(wanted string, s Surroundings) (Contract, bool, error) {
	from := "--cloud"
	if wanted == "" {
		wanted, from = s.Env("FAIRLEAD_CLOUD"), "FAIRLEAD_CLOUD"
	}
	why := fmt.Sprintf("%s=%s", from, wanted)
	platform := Platform(wanted)
	switch platform {
	case None:
		return Contract{}, false, nil
	case "", Auto:
		if platform, why = recognise(s); platform == None {
			return Contract{}, false, nil
		}
	case SageMaker, Vertex, Azure:
	default:
		return Contract{}, false, fairlead.Invalid("%s is %q, which is not a cloud", from, wanted).
			Hintf("use auto, none, sagemaker, vertex or azure")
	}
	c, err := contractOf(platform, s)
	if err != nil {
		return Contract{}, false, err
	}
	c.Why = why
	return c, true, nil
}

func recognise(s Surroundings) (Platform, string) {
	for _, sign := range []struct {
		variable string
		platform Platform
	}{
		{"AIP_HTTP_PORT", Vertex}, {"AIP_PREDICT_ROUTE", Vertex}, {"AIP_HEALTH_ROUTE", Vertex},
		{"SAGEMAKER_BIND_TO_PORT", SageMaker}, {"SAGEMAKER_MULTI_MODEL", SageMaker},
		{"AZUREML_MODEL_DIR", Azure},
	} {
		if s.Env(sign.variable) != "" {
			return sign.platform, sign.variable + " is set"
		}
	}
	if len(s.Args) == 1 && s.Args[0] == "serve" && s.Exists != nil && s.Exists(sageMakerModel) {
		return SageMaker, "the argument is serve and there is " + sageMakerModel
	}
	return None, ""
}

const (
	sageMakerModel  = "/opt/ml/model"
	sageMakerModels = "/opt/ml/models"
)

func contractOf(platform Platform, s Surroundings) (c Contract, err error) {
	env := func(names ...string) string {
		for _, name := range names {
			if v := s.Env(name); v != "" {
				return v
			}
		}
		return ""
	}
	c = Contract{Platform: platform, StopWithin: 25 * time.Second, Model: env("FAIRLEAD_MODEL")}
	var port, portVariable string
	switch platform {
	case SageMaker:
		portVariable = "SAGEMAKER_BIND_TO_PORT"
		c.Readiness, c.Predict, c.ModelDir, c.ModelsRoot = "/ping", "/invocations", sageMakerModel, sageMakerModels
		c.MultiModel = strings.EqualFold(env("SAGEMAKER_MULTI_MODEL"), "true")
		if c.MultiModel {
			c.ModelDir = ""
		}
		c.Model = env("FAIRLEAD_MODEL", "SAGEMAKER_TRITON_DEFAULT_MODEL_NAME")
	case Vertex:
		portVariable = "AIP_HTTP_PORT"
		c.Readiness, c.Predict = "/health", "/predict"
		if c.ModelDir, err = localFolder(env("AIP_STORAGE_URI")); err != nil && env("FAIRLEAD_MODEL_DIR") == "" {
			return c, err
		}
		if c.Readiness, err = route(s, "AIP_HEALTH_ROUTE", c.Readiness); err != nil {
			return c, err
		}
		if c.Predict, err = route(s, "AIP_PREDICT_ROUTE", c.Predict); err != nil {
			return c, err
		}
	case Azure:
		c.Liveness, c.Readiness, c.Predict = "/livez", "/readyz", "/score"
		c.ModelDir = env("AZUREML_MODEL_DIR")
	}
	for name, field := range map[string]*string{"FAIRLEAD_LIVENESS_ROUTE": &c.Liveness, "FAIRLEAD_READINESS_ROUTE": &c.Readiness,
		"FAIRLEAD_SCORING_ROUTE": &c.Predict} {
		if *field, err = route(s, name, *field); err != nil {
			return c, err
		}
	}
	if dir := env("FAIRLEAD_MODEL_DIR"); dir != "" {
		c.ModelDir = dir
	}
	if port = env("FAIRLEAD_PORT"); port != "" {
		portVariable = "FAIRLEAD_PORT"
	} else if portVariable != "" {
		port = env(portVariable)
	}
	if port == "" {
		port = "8080"
	} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return c, fairlead.Invalid("%s is %q, which is not a port", portVariable, port).Hintf("a port is a number from 1 to 65535")
	}
	c.Address = net.JoinHostPort("0.0.0.0", port)
	return c, c.check()
}

// route reads a path out of a variable.
func route(s Surroundings, variable, otherwise string) (string, error) {
	v := s.Env(variable)
	if v == "" {
		return otherwise, nil
	}
	if !strings.HasPrefix(v, "/") || strings.ContainsAny(v, "?# ") {
		return "", fairlead.Invalid("%s is %q, which is not a path", variable, v).Hintf("a path starts with a slash, for example /score")
	}
	return v, nil
}

func (c *Contract) check() error {
	if c.Predict == c.Readiness || c.Predict == c.Liveness {
		return fairlead.Invalid("predictions and health are both asked for at %s", c.Predict).Hintf("give them different paths")
	}
	return nil
}

// localFolder is the folder that a URI names, "" for none. What has to be fetched over the network is refused: the message
// says what to do instead.
func localFolder(uri string) (string, error) {
	switch scheme, rest, ok := strings.Cut(uri, "://"); {
	case uri == "":
		return "", nil
	case !ok && strings.HasPrefix(uri, "/"):
		return path.Clean(uri), nil
	case ok && scheme == "file" && strings.HasPrefix(rest, "/"):
		return path.Clean(rest), nil
	}
	return "", fairlead.Invalid("the model is at %.200s, which is not a folder of this machine", uri).
		Hintf("put the model into the image and set FAIRLEAD_MODEL_DIR to its folder, or mount the bucket and point there; this server fetches nothing from the network by itself")
}
