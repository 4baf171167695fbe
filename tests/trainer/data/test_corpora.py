"""Labelled speech is read from published layouts and from anybody's CSV, and mistakes in it get one line."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.errors import UserError
from trainer.data.corpora import load
from trainer.data.layouts import BY_NAME

PUBLISHED = {
    "ravdess": {
        "Actor_01/03-01-05-01-02-01-01.wav": ("angry", "01", "male"),
        "Actor_02/03-01-02-02-01-01-02.wav": ("calm", "02", "female"),
    },
    "crema-d": {
        "AudioWAV/1001_DFA_ANG_XX.wav": ("angry", "1001", "male"),
        "AudioWAV/1002_IEO_SAD_HI.wav": ("sad", "1002", "female"),
    },
    "tess": {
        "OAF_Fear/OAF_back_fear.wav": ("fearful", "OAF", "female"),
        "OAF_neutral/OA_bite_neutral.wav": ("neutral", "OAF", "female"),
        "YAF_pleasant_surprised/YAF_back_ps.wav": ("surprised", "YAF", "female"),
    },
    "savee": {
        "DC/sa01.wav": ("sad", "DC", "male"),
        "ALL/JK_su12.wav": ("surprised", "JK", "male"),
        "ALL/KL_h03.wav": ("happy", "KL", "male"),
    },
    "emodb": {
        "wav/03a01Wa.wav": ("angry", "03", "male"),
        "wav/16b10Lb.wav": ("bored", "16", "female"),
    },
    "nemo": {
        "samples/EB0_anger_1.wav": ("angry", "EB0", "female"),
        "samples/WR0_surprised_90.wav": ("surprised", "WR0", "male"),
    },
    "emovo": {
        "EMOVO/f1/rab-f1-b1.wav": ("angry", "f1", "female"),
        "EMOVO/m3/gio-m3-l4.wav": ("happy", "m3", "male"),
    },
    "aesdd": {
        "anger/a01 (1).wav": ("angry", "s1", ""),
        "anger/a06 (5)b.wav": ("angry", "s5", ""),
        "sadness/s20_6.wav": ("sad", "s6", ""),
    },
}


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(160, np.int16), 16_000)
    return path


@pytest.mark.parametrize("corpus", PUBLISHED)
def test_published_names_say_emotion_and_speaker(tmp_path: Path, corpus: str) -> None:
    for name in PUBLISHED[corpus]:
        touch(tmp_path / name)
    if corpus == "crema-d":
        (tmp_path / "VideoDemographics.csv").write_text("ActorID,Age,Sex\n1001,51,Male\n1002,21,Female\n")
    found = load([tmp_path])
    said = {(u.emotion, u.speaker, u.gender) for u in found.utterances}
    assert said == {(emotion, f"{corpus}/{who}", gender) for emotion, who, gender in PUBLISHED[corpus].values()}
    assert {u.corpus for u in found.utterances} == {corpus}
    assert [part.licence for part in found.training_data()] == [BY_NAME[corpus].licence]
    assert not found.warnings


def test_several_corpora_may_lie_under_one_folder(tmp_path: Path) -> None:
    for corpus, names in PUBLISHED.items():
        for name in names:
            touch(tmp_path / corpus / name)
    touch(tmp_path / "notes" / "hello.wav")
    touch(tmp_path / "ravdess" / "Actor_01" / "03-02-05-01-02-01-01.wav")  # a song
    found = load([tmp_path])
    assert {u.corpus for u in found.utterances} == set(PUBLISHED)
    assert sum(found.warnings.values()) == 2


def test_a_manifest_takes_any_emotion_and_names_its_speakers(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav")
    touch(tmp_path / "b.wav")
    (tmp_path / "mine.csv").write_text(
        "\ufeffPath, Emotion ,speaker,licence,note\n"
        "a.wav,Frustrated,ann,in house,x\n"
        "b.wav,at ease,bob,in house,y\n"
        "gone.wav,at ease,bob,,\n"
        "a.wav,,ann,,\n"
        "a.wav,frustrated,ann,,\n"
    )
    found = load([tmp_path / "mine.csv"])
    assert found.labels == ("at ease", "frustrated")
    assert found.speakers == ("mine/ann", "mine/bob")
    assert [part.licence for part in found.training_data()] == ["in house"]
    assert sorted(found.warnings.values()) == [1, 1, 1]  # gone, unlabelled, twice


def test_a_folders_manifest_goes_before_its_names(tmp_path: Path) -> None:
    for stem in ("03-01-05-01-02-01-01", "03-01-05-01-02-01-02"):
        touch(tmp_path / f"{stem}.wav")
    (tmp_path / "manifest.csv").write_text(
        "path,emotion,speaker\n03-01-05-01-02-01-01.wav,cross,01\n03-01-05-01-02-01-02.wav,mild,02\n"
    )
    found = load([tmp_path])
    assert found.labels == ("cross", "mild")
    assert found.speakers == ("ravdess/01", "ravdess/02")  # the names still tell the corpus


def test_a_noise_collection_beside_the_speech_is_left_out(tmp_path: Path) -> None:
    for name in PUBLISHED["emodb"]:
        touch(tmp_path / "emodb" / name)
    touch(tmp_path / "noise" / "rain.wav")
    (tmp_path / "noise" / "manifest.csv").write_text("path,sound\nrain.wav,rain\n")
    assert list(load([tmp_path]).warnings.values()) == [1]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("path,emotion\na.wav,angry\n", "no column speaker"),
        ("path,emotion,speaker\n", "no labelled speech"),
        ("path,emotion,speaker\na.wav,angry,ann\nb.wav,angry,bob\n", "every utterance is labelled 'angry'"),
        ("path,emotion,speaker\na.wav,angry,ann\nb.wav,calm,ann\n", "every utterance is of one speaker"),
        ("path,emotion,speaker\na.wav,uncertain,ann\n", "line 2: emotion 'uncertain'"),
        ("path,emotion,speaker\na.wav,<b>,ann\n", "line 2: emotion '<b>'"),
        ("path,emotion,speaker\na.wav,9,ann\n", "line 2: emotion '9'"),
    ],
)
def test_an_unusable_manifest_gets_one_line(tmp_path: Path, rows: str, complaint: str) -> None:
    touch(tmp_path / "a.wav")
    touch(tmp_path / "b.wav")
    (tmp_path / "mine.csv").write_text(rows)
    with pytest.raises(UserError, match=complaint) as caught:
        load([tmp_path / "mine.csv"])
    assert "\n" not in str(caught.value)


def test_a_path_that_is_none_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        load([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="not a CSV manifest or a folder"):
        load([touch(tmp_path / "a.wav")])
    with pytest.raises(UserError, match="no labelled speech found"):
        load([tmp_path])


def test_a_folder_without_labels_is_named_though_other_data_have_them(tmp_path: Path) -> None:
    corpus, folder = tmp_path / "mine", tmp_path / "unlabelled"
    for name in ("a.wav", "b.wav"):
        touch(corpus / name)
        touch(folder / name)
    (corpus / "mine.csv").write_text("path,emotion,speaker\na.wav,calm,s1\nb.wav,angry,s2\n")
    assert len(load([corpus / "mine.csv"]).utterances) == 2
    with pytest.raises(UserError, match=r"unlabelled: no labelled speech found \(audio files whose names .*: 2\)"):
        load([corpus / "mine.csv", folder])
