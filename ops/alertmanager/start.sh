#!/bin/sh
# Starts Alertmanager, which does not read the environment: whom alerts reach is written into its configuration here.
#
#   start.sh <folder of the secrets> <folder to write to> [option of Alertmanager...]
set -eu

to=$(cat "$1/alerts_to")
config=$2/alertmanager.yml

quoted() {
  printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"
}

receiver() {
  case $to in
    slack:https://* | https://hooks.slack.com/*)
      cat <<END
    slack_configs:
      - api_url: $(quoted "${to#slack:}")
        send_resolved: true
        text: '{{ range .Alerts }}{{ .Annotations.summary }}. {{ .Annotations.description }} ({{ .Annotations.runbook }}){{ "\n" }}{{ end }}'
END
      ;;
    http://* | https://*)
      cat <<END
    webhook_configs:
      - url: $(quoted "$to")
END
      ;;
    # Through Resend, as the mails of the API.
    *@*)
      cat <<END
    email_configs:
      - to: $(quoted "$to")
        from: $(quoted "$ALERTS_FROM")
        smarthost: smtp.resend.com:587
        auth_username: resend
        auth_password_file: $(quoted "$1/resend_api_key")
        send_resolved: true
END
      ;;
    *)
      echo 'ALERTS_TO must be an address for mails, the https:// address of a webhook, or slack: and such an address' >&2
      exit 1
      ;;
  esac
}

{
  cat "$(dirname "$0")/alertmanager.yml"
  printf '\nreceivers:\n  - name: operators\n'
  receiver "$1"
} >"$config"

shift 2
exec alertmanager "--config.file=$config" "$@"
