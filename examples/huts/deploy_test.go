package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/world"
	"go.yaml.in/yaml/v3"
)

// A place is where one service runs, as a file in deploy says.
type place struct {
	args []string
	env  map[string]string
}

// image is what the Dockerfile says: the environment, and the port.
func image(t *testing.T) (env map[string]string, port string) {
	t.Helper()
	text, err := os.ReadFile("deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	env = map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^ENV (.*)$`).FindAllStringSubmatch(string(text), -1) {
		for s := range strings.FieldsSeq(m[1]) {
			name, value, _ := strings.Cut(s, "=")
			env[name] = value
		}
	}
	m := regexp.MustCompile(`(?m)^EXPOSE (\d+)$`).FindStringSubmatch(string(text))
	if m == nil {
		t.Fatal("the Dockerfile exposes no port")
	}
	for _, want := range []string{"FROM scratch", "USER 65532", "CGO_ENABLED=0"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the Dockerfile has no %s", want)
		}
	}
	return env, m[1]
}

// agrees holds a place against the program: it starts with these arguments, it reads all
// of these variables and likes them, and the services it asks are there.
func (p place) agrees(t *testing.T, name string, image map[string]string, hosts map[string]string) {
	t.Helper()
	if len(p.args) != 2 || p.args[0] != "-only" || !slices.Contains(services, p.args[1]) {
		t.Errorf("%s: the program has no arguments %q", name, p.args)
		return
	}
	read := map[string]bool{}
	c, err := readNoting(p.env, image, read)
	if err := errors.Join(err, c.alone(p.args[1])); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for v, value := range p.env {
		if !read[v] {
			t.Errorf("%s: the program does not read %s", name, v)
		}
		if !strings.HasSuffix(v, "_URL") && !strings.HasSuffix(v, "_URLS") {
			continue
		}
		for s := range strings.SplitSeq(value, ",") {
			u, err := url.Parse(s)
			if err != nil {
				t.Error(err)
				continue
			}
			if port, ok := hosts[u.Hostname()]; port != u.Port() || !ok && !strings.HasSuffix(u.Hostname(), ".example") {
				t.Errorf("%s: %s: there is nothing at %s", name, v, u.Host)
			}
		}
	}
}

// readNoting reads a config, and notes in read which variables that takes.
func readNoting(env, image map[string]string, noted map[string]bool) (config, error) {
	return read(func(name string) string {
		noted[name] = true
		if v, ok := env[name]; ok {
			return v
		}
		return image[name]
	})
}

// TestDeployAgrees holds what is in deploy against the program: services, arguments,
// variables, ports and the paths of probes.
func TestDeployAgrees(t *testing.T) {
	env, port := image(t)
	c, err := readNoting(nil, env, map[string]bool{})
	if err != nil {
		t.Fatal(err)
	}
	if _, p, err := net.SplitHostPort(c.Addr); err != nil || p != port || c.Data == "" {
		t.Errorf("the image listens at %s and exposes %s, with its data in %q", c.Addr, port, c.Data)
	}
	t.Run("compose", func(t *testing.T) { compose(t, env, port) })
	t.Run("k8s", func(t *testing.T) { kubernetes(t, env, port) })
}

func decode(t *testing.T, file string, each func(*yaml.Decoder) error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		err := each(d)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
}

func compose(t *testing.T, image map[string]string, port string) {
	var file struct {
		Services map[string]struct {
			Image           string
			Command         []string
			Environment     map[string]string
			Ports           []string
			ReadOnly        bool     `yaml:"read_only"`
			CapDrop         []string `yaml:"cap_drop"`
			StopGracePeriod string   `yaml:"stop_grace_period"`
		}
	}
	decode(t, "deploy/compose.yaml", func(d *yaml.Decoder) error { return d.Decode(&file) })
	hosts, runs := map[string]string{"nats": "4222"}, map[string]bool{}
	for name := range file.Services {
		if name != "nats" {
			hosts[name] = port
		}
	}
	for name, s := range file.Services {
		if s.Image != "huts" {
			continue
		}
		place{s.Command, s.Environment}.agrees(t, name, image, hosts)
		runs[s.Command[len(s.Command)-1]] = true
		if grace, err := time.ParseDuration(s.StopGracePeriod); err != nil || !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s: read-only %v, drops %v, %v", name, s.ReadOnly, s.CapDrop, err)
		} else {
			enough(t, name, grace, s.Environment, image)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") || !strings.HasSuffix(p, ":"+port) {
				t.Errorf("%s: %s is not on loopback, or not the port of the image", name, p)
			}
		}
	}
	for _, s := range services {
		if !runs[s] {
			t.Errorf("%s does not run", s)
		}
	}
	w := world.Silent()
	w.Identity.Seed(file.Services["world"].Environment["WORLD_SEED"])
	for name, s := range file.Services {
		if key := s.Environment["TOKEN_KEY"]; key != "" && "TOKEN_KEY="+key != tokenKey(w) {
			t.Errorf("%s: the key is not that of the world", name)
		}
	}
}

// enough checks that a service is not killed while it drains.
func enough(t *testing.T, name string, grace time.Duration, env, image map[string]string) {
	t.Helper()
	c, err := readNoting(env, image, map[string]bool{})
	if err != nil {
		t.Error(err)
	}
	if need := c.Drain + last; grace <= need {
		t.Errorf("%s is killed after %s, but may take %s to end", name, grace, need)
	}
}

// An object is what a cluster knows.
type object struct {
	Kind       string
	Metadata   struct{ Name string }
	Data       map[string]string
	StringData map[string]string `yaml:"stringData"`
	Spec       struct {
		Replicas     int
		MinAvailable int `yaml:"minAvailable"`
		Selector     map[string]any
		Ports        []struct {
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Grace           int `yaml:"terminationGracePeriodSeconds"`
				SecurityContext struct {
					RunAsNonRoot bool `yaml:"runAsNonRoot"`
				} `yaml:"securityContext"`
				Containers []container
			}
		}
	}
}

type container struct {
	Image string
	Args  []string
	Env   []struct {
		Name      string
		ValueFrom struct {
			SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	EnvFrom []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	Ports []struct {
		Name string
		Port int `yaml:"containerPort"`
	}
	LivenessProbe   probe `yaml:"livenessProbe"`
	ReadinessProbe  probe `yaml:"readinessProbe"`
	SecurityContext struct {
		ReadOnly bool `yaml:"readOnlyRootFilesystem"`
	} `yaml:"securityContext"`
	Resources struct{ Limits map[string]string }
}

type probe struct {
	HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
	PeriodSeconds    int                         `yaml:"periodSeconds"`
	FailureThreshold int                         `yaml:"failureThreshold"`
}

func kubernetes(t *testing.T, image map[string]string, port string) {
	p := running(t)
	var objects []object
	decode(t, "deploy/k8s.yaml", func(d *yaml.Decoder) error {
		var o object
		err := d.Decode(&o)
		if err == nil {
			objects = append(objects, o)
		}
		return err
	})
	find := func(kind, name string) object {
		for _, o := range objects {
			if o.Kind == kind && o.Metadata.Name == name {
				return o
			}
		}
		t.Errorf("there is no %s %s", kind, name)
		return object{}
	}
	hosts, runs := map[string]string{}, map[string]object{}
	for _, o := range objects {
		if o.Kind == "Service" {
			hosts[o.Metadata.Name] = fmt.Sprint(o.Spec.Ports[0].Port)
		}
	}
	for _, o := range objects {
		name := o.Metadata.Name
		if o.Kind != "Deployment" && o.Kind != "StatefulSet" {
			continue
		}
		pod := o.Spec.Template.Spec
		c := pod.Containers[0]
		runs[name] = o
		if s := find("Service", name); fmt.Sprint(s.Spec.Selector) != fmt.Sprint(o.Spec.Template.Metadata.Labels) || s.Spec.Ports[0].TargetPort != c.Ports[0].Name {
			t.Errorf("%s: its Service leads elsewhere", name)
		}
		if len(c.Resources.Limits) == 0 {
			t.Errorf("%s has no limits", name)
		}
		if c.Image != "huts" {
			continue
		}
		env := map[string]string{}
		for _, from := range c.EnvFrom {
			maps.Copy(env, find("ConfigMap", from.ConfigMapRef.Name).Data)
		}
		for _, e := range c.Env {
			ref := e.ValueFrom.SecretKeyRef
			if env[e.Name] = find("Secret", ref.Name).StringData[ref.Key]; env[e.Name] == "" {
				t.Errorf("%s: %s comes from nowhere", name, e.Name)
			}
		}
		place{c.Args, env}.agrees(t, name, image, hosts)
		enough(t, name, time.Duration(pod.Grace)*time.Second, env, image)
		if fmt.Sprint(c.Ports[0].Port) != port || c.Ports[0].Name != "http" {
			t.Errorf("%s: port %v, want that of the image", name, c.Ports)
		}
		if !pod.SecurityContext.RunAsNonRoot || !c.SecurityContext.ReadOnly {
			t.Errorf("%s runs as root, or may write everywhere", name)
		}
		for kind, probe := range map[string]probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
			if probe.HTTPGet.Path != kind || probe.HTTPGet.Port != "http" {
				t.Errorf("%s: %+v, want one of %s", name, probe, kind)
			}
			if got := get(t.Context(), p.URL+probe.HTTPGet.Path, ""); !strings.HasPrefix(got, "200") {
				t.Errorf("%s: the program answers %s with %s", name, probe.HTTPGet.Path, got)
			}
		}
		drain, err := time.ParseDuration(env["HUTS_DRAIN"])
		if notices := time.Duration(c.ReadinessProbe.PeriodSeconds*c.ReadinessProbe.FailureThreshold) * time.Second; err != nil || drain <= notices {
			t.Errorf("%s drains for %s, but that it does is noticed after %s", name, drain, notices)
		}
	}
	for _, o := range objects {
		if o.Kind != "PodDisruptionBudget" {
			continue
		}
		if r := runs[o.Metadata.Name]; r.Spec.Replicas <= o.Spec.MinAvailable {
			t.Errorf("%s: of %d replicas %d must stay: no node can be drained", o.Metadata.Name, r.Spec.Replicas, o.Spec.MinAvailable)
		}
	}
	for _, s := range []string{"booking", "mail", "trips", "desk"} {
		if _, ok := runs[s]; !ok {
			t.Errorf("%s does not run", s)
		}
	}
	find("PodDisruptionBudget", "trips")
}

// TestWorldAlone: services find a world that runs elsewhere by its key and its paths.
func TestWorldAlone(t *testing.T) {
	w, err := start(t.Context(), config{Addr: "127.0.0.1:0", Seed: "huts"}, "world")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close(t.Context())
	p := running(t, func(c *config) {
		c.Payment, c.Weather, c.MailServer = w.URL+"/payment", w.URL+"/weather", w.URL+"/mail"
		c.Bulletins, c.Identity, c.TokenKey = []string{w.URL + "/bulletin-1"}, w.URL+"/identity", ed25519.PublicKey(w.World.Identity.Key)
	})
	if p.World != nil {
		t.Error("there is another world")
	}
	resp, err := http.PostForm(w.URL+"/identity/token", url.Values{"name": {"ann"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	token, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := put(t.Context(), p.URL+a1, strings.TrimSpace(string(token)), 2); status != http.StatusCreated {
		t.Errorf("%d %s", status, body)
	}
	query := `{trip(hut: "planura", date: "2027-07-31") {weather {stale} danger {region}}}`
	if _, body := send(t.Context(), http.MethodPost, p.URL+"/graphql", "", map[string]string{"query": query}); !strings.Contains(string(body), "glarus") || strings.Contains(string(body), "errors") {
		t.Error(string(body))
	}
	eventually(t, func() string {
		if len(w.World.Mail.Sent()) != 2 {
			return fmt.Sprint(w.World.Mail.Sent())
		}
		return ""
	})
}

// TestImage builds the image, and starts it as the files in deploy do.
func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an image")
	}
	docker := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := docker("info"); err != nil {
		t.Skipf("no container engine runs here: %v %.100s", err, out)
	}
	if out, err := docker("build", "-f", "deploy/Dockerfile", "-t", "huts-test", "../.."); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	id, err := docker("run", "-d", "--read-only", "--cap-drop", "ALL", "-p", "127.0.0.1::8080", "huts-test")
	if err != nil {
		t.Fatal(id)
	}
	t.Cleanup(func() { exec.Command("docker", "rm", "-f", "-v", id).Run() })
	addr, err := docker("port", id, "8080/tcp")
	if err != nil {
		t.Fatal(addr)
	}
	eventually(t, func() string {
		if got := get(t.Context(), "http://"+addr+"/readyz", ""); !strings.HasPrefix(got, "200") {
			return got
		}
		return ""
	})
}
