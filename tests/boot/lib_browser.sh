# shellcheck shell=sh
# shellcheck disable=SC2154 # variables of lib.sh
# Debian's Chromium without a window, driven over the WebDriver protocol (W3C) by curl. Sourced behind lib.sh.

BROWSER_SECONDS=60
browser_at='' browser_pid='' browser_session=''

# browser_start WIDTH HEIGHT: a browser with that window; its profile is in $folder. Fails in one line.
browser_start() {
	browser_size="$1,$2"
	mkdir -p "$folder/browser"
	HOME=$folder/browser chromedriver --port=0 > "$folder/browser/driver.log" 2>&1 &
	browser_pid=$!
	trap 'browser_stop; rm -rf "$folder"' EXIT
	browser_port=''
	for _ in $(seq 1 $((BROWSER_SECONDS * 5))); do
		browser_port=$(sed -n 's/.*started successfully on port \([0-9]*\).*/\1/p' "$folder/browser/driver.log")
		[ -z "$browser_port" ] || break
		kill -0 "$browser_pid" 2> "$folder/browser/ignored" || break
		sleep 0.2
	done
	[ -n "$browser_port" ] || {
		echo "chromedriver does not start: $(tail -n 1 "$folder/browser/driver.log")"
		return 1
	}
	browser_at=http://127.0.0.1:$browser_port/session
	# Root may not have a sandbox; the pages are our own.
	browser_session=$(jq -n --arg size "$browser_size" --arg profile "$folder/browser/profile" '{ capabilities: {
		alwaysMatch: { "goog:loggingPrefs": { browser: "ALL", performance: "ALL" },
		"goog:chromeOptions": { args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--force-prefers-reduced-motion", "--window-size=" + $size, "--user-data-dir=" + $profile] } } } }' |
		browser_send POST '' | jq -r .sessionId) || return 1
	browser_at=$browser_at/$browser_session
}

browser_stop() {
	[ -n "$browser_pid" ] || return 0
	browser_send DELETE '' > "$folder/browser/ignored" 2>&1 < /dev/null || :
	kill "$browser_pid" 2> "$folder/browser/ignored" || :
	wait "$browser_pid" 2> "$folder/browser/ignored" || :
	browser_pid=''
}

# browser_send METHOD PATH: standard input is the body, the answer's value goes out. An error is told, and fails.
browser_send() {
	case $1 in
	POST) set -- "$@" --data-binary @- ;;
	esac
	browser_method=$1 browser_path=$2
	shift 2
	browser_answer=$(curl -s -S --max-time $BROWSER_SECONDS -X "$browser_method" -H 'Content-Type: application/json' "$@" \
		"$browser_at$browser_path") || return 1
	printf '%s\n' "$browser_answer" | jq -e '.value | if type == "object" and has("error") then
		("browser: \(.error): \(.message)" | split("\n")[0] | halt_error(1)) else . end | if . == null then "" else . end'
}

# browser_open URL
browser_open() {
	jq -n --arg url "$1" '{ url: $url }' | browser_send POST /url > "$folder/browser/answer"
}

# browser_run SCRIPT: of JavaScript; what it returns, as JSON.
browser_run() {
	jq -n --arg script "$1" '{ script: $script, args: [] }' | browser_send POST /execute/sync
}

# browser_is SCRIPT: it returns true, now or soon.
browser_is() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		browser_said=$(browser_run "$1") || return 1
		[ "$browser_said" != true ] || return 0
		sleep 0.2
	done
	echo "$1: $browser_said"
	return 1
}

# browser_element SELECTOR: the path of the first element that it finds.
browser_element() {
	jq -n --arg selector "$1" '{ using: "css selector", value: $selector }' | browser_send POST /element |
		jq -r '"/element/" + .[]'
}

# browser_click SELECTOR: as a person does: where it is, and only if nothing lies over it.
browser_click() {
	browser_found=$(browser_element "$1") && printf '{}' | browser_send POST "$browser_found/click" > "$folder/browser/answer"
}

# browser_type SELECTOR TEXT: to the element; keys that are no text have the code points of WebDriver.
browser_type() {
	browser_found=$(browser_element "$1") && jq -n --arg text "$2" '{ text: $text }' |
		browser_send POST "$browser_found/value" > "$folder/browser/answer"
}

# browser_looks WIDTH HEIGHT light|dark: the page as on a screen of that size, and for who prefers that scheme.
browser_looks() {
	jq -n --argjson width "$1" --argjson height "$2" '{ cmd: "Emulation.setDeviceMetricsOverride",
		params: { width: $width, height: $height, deviceScaleFactor: 1, mobile: ($width < 800) } }' |
		browser_send POST /goog/cdp/execute > "$folder/browser/answer" &&
		jq -n --arg scheme "$3" '{ cmd: "Emulation.setEmulatedMedia",
			params: { features: [{ name: "prefers-color-scheme", value: $scheme }] } }' |
		browser_send POST /goog/cdp/execute > "$folder/browser/answer"
}

# browser_log KIND: browser (the console) or performance (among it all requests), since it was asked last.
browser_log() {
	jq -n --arg kind "$1" '{ type: $kind }' | browser_send POST /se/log
}

# browser_shot FILE: the window as PNG.
browser_shot() {
	browser_send GET /screenshot < /dev/null | jq -r . | base64 -d > "$1"
}
