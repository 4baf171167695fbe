#!/usr/bin/env bash
# Makes the sample audio of this folder: needs espeak-ng and sox. The voices are synthetic; nobody's speech is in here.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

agent=(-v en-us+m3 -s 160 -p 40 -a 70)
calm=(-v en-gb+f2 -s 150 -p 50 -a 60)
annoyed=(-v en-gb+f2 -s 175 -p 62 -a 85)
angry=(-v en-gb+f2 -s 205 -p 95 -a 125)
# Who shouts closes the glottis faster: the spectrum falls less steeply. espeak-ng's does not follow its loudness.
shouted="gain -n -12 treble 12 bass -6 gain -n -1"

# say CHANNEL START_SECONDS VOICE... TEXT: one line of the call, on its channel from that second on
n=0
lines_left=() lines_right=()
say() {
    local channel=$1 start=$2 text=${*: -1}
    n=$((n + 1))
    espeak-ng "${@:3:$#-3}" -w "$work/$n.wav" "$text"
    # shellcheck disable=SC2086  (effects are words)
    sox -q -R "$work/$n.wav" -r 8000 "$work/$n.line.wav" lowpass 3600 ${effects:-} pad "$start"
    if [ "$channel" = left ]; then lines_left+=("$work/$n.line.wav"); else lines_right+=("$work/$n.line.wav"); fi
}

say left 0.3 "${agent[@]}" "Good morning, this is the service desk. How can I help you?"
say right 4.2 "${calm[@]}" "Hello. My order has not arrived, and I would like to know where it is."
say left 8.9 "${agent[@]}" "It left our house on Monday. It should be there tomorrow."
say right 12.8 "${annoyed[@]}" "That is what you told me last week, and the week before."
effects=$shouted say right 16.8 "${angry[@]}" "This is the third time that I call! I want my money back, today!"
say left 20.6 "${agent[@]}" "I am sorry. I will see to it at once."
say right 23.4 "${calm[@]}" "Thank you. Good bye."

# Line noise at -72 dBFS on both sides: real lines are never silent.
mix() { sox -q -R -m -v 1 "$1" "${@:3}" -p pad 0 1 trim 0 25.5 | sox -q -R - -r 8000 -b 16 "$2"; }
sox -q -R -n -r 8000 -b 16 "$work/noise_left.wav" synth 25.5 pinknoise vol -60dB
sox -q -R -n -r 8000 -b 16 "$work/noise_right.wav" synth 25.5 pinknoise vol -57dB
mix "$work/noise_left.wav" "$work/left.wav" "${lines_left[@]}"
mix "$work/noise_right.wav" "$work/right.wav" "${lines_right[@]}"
sox -q -M "$work/left.wav" "$work/right.wav" call.flac

# utterance VOICE... TEXT FILE: one sentence at 16 kHz (the phone one at 8 kHz), with a little silence around it
utterance() {
    espeak-ng "${@:1:$#-2}" -w "$work/u.wav" "${*: -2:1}"
    # shellcheck disable=SC2086
    sox -q -R "$work/u.wav" -b 16 "${*: -1}" rate "${RATE:-16000}" ${effects:-} pad 0.4 0.4
}
utterance "${calm[@]}" "The train to the coast leaves at ten." calm.flac
effects=$shouted utterance "${angry[@]}" "Why did nobody tell me about this? I want my money back!" angry.flac
RATE=8000 utterance -v en-us+m3 -s 130 -p 30 -a 80 "I do not know what to do any more." phone.wav
