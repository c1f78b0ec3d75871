"""What the dashboard of dance music shows: sections by descriptors, seconds by a network.

What takes long is made once and kept in a folder, so that opening it again only reads. Then no
torch is imported: each visitor of the page has a kernel of its own.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from joblib import Parallel
from matplotlib.figure import Figure

from musiclatent import config, files
from musiclatent.analysis import clustering, importance, projection, soft_clustering
from musiclatent.config import SEED, Study, Workspace
from musiclatent.display import map_page, style
from musiclatent.edm import section_views
from musiclatent.numba_cache import delayed

CACHE_VERSION = 2  # raise by hand when what is kept changes
TABLES = ("sections", "parts", "memberships", "comparison")  # of the notebooks that ran before
MEAN_OF, FEW = 40, 12  # seconds of a cluster that its mean picture is made of; of a demo
STRONGEST = 10  # descriptors, or latent dimensions of a network, that a picture shows
WIDTH, LETTERS, DPI = 4.4, 8.0, 160  # of pictures: inches, points, dots an inch
NONE = "none"
PLACE = ["item_id", "path", "start_s", "end_s"]


@dataclass(frozen=True, kw_only=True)
class DashboardData:
    """What the dashboard shows.

    Parameters
    ----------
    name
        What network embedded the seconds, one of `second_embeddings.NAMES`.
    sections
        B rows: item_id, path, start_s, end_s, x, y (the plane of the descriptors), cluster and
        network (names of clusters), ``belongs to 0`` ... (shares), the 17 descriptors and tempo.
    seconds
        P rows: item_id, path, start_s, end_s, x, y, cluster, section (row of `sections`).
    z
        ``attributes`` (B, 17), standardised; ``numbers`` (P, D) of the network; ``reasons``
        (B, 17, K), what each descriptor adds to the probability of each cluster.
    pictures
        Cluster of the network -> its mean picture, png.
    folder
        Where all this is kept, and the sounds.
    sr
        Sample rate of the sounds in Hz.
    """

    name: str
    sections: pd.DataFrame
    seconds: pd.DataFrame
    z: dict[str, np.ndarray]
    pictures: dict[str, bytes]
    folder: Path
    sr: int

    def counts(self) -> pd.DataFrame:
        """Count the sections of each cluster, by both views."""
        sides = {"attributes": self.sections["cluster"], self.name: self.sections["network"]}
        table = pd.DataFrame({side: names.value_counts() for side, names in sides.items()})
        return table.fillna(0).astype(int).sort_index()

    def codes(self, side: str) -> np.ndarray:
        """Return the cluster of each section (B,), int, -1 for none; `side` names the column."""
        names = self.sections[side].replace(NONE, "cluster -1")
        return names.str.split().str[1].astype(int).to_numpy()

    def agreement(self) -> dict[str, float]:
        """Compare both views of the sections, see `clustering.agreement`."""
        return clustering.agreement(self.codes("cluster"), self.codes("network"))

    def crossed(self) -> pd.DataFrame:
        """Count the sections in each pair of clusters."""
        return clustering.contingency(self.codes("cluster"), self.codes("network"))


def dashboard_data(study: Study, space: Workspace, k: int) -> DashboardData:
    """Read what the dashboard shows; what is missing, or older than the tables, is made.

    Parameters
    ----------
    study, space
        Whose sections, and where the tables of the study's notebooks are.
    k
        Number of clusters; fewer where there are few sections.

    Raises
    ------
    ValueError
        As `collection.collect` and `collection.Collection.clusters`.
    """
    folder, mark = space.path("dashboard"), _mark(space, k)
    record = folder / "kept.json"
    kept = json.loads(record.read_text()) if record.exists() else {}
    if kept.get("mark") != mark or not all((folder / name).exists() for name in kept["files"]):
        record.unlink(missing_ok=True)
        kept = {"mark": mark, "name": chosen_network(space)}
        kept["files"] = _make(study, space, k, kept["name"], space.make("dashboard"))
        files.write_json(record, kept)  # last: without it the rest does not count
    with np.load(folder / "z.npz", allow_pickle=False) as arrays:
        z = dict(arrays)
    sections, seconds = (pd.read_parquet(folder / f"{t}.parquet") for t in ("sections", "seconds"))
    names = sorted(seconds["cluster"].unique())
    pictures = {name: (folder / f"{name}.png").read_bytes() for name in names}
    return DashboardData(
        name=kept["name"],
        sections=sections,
        seconds=seconds,
        z=z,
        pictures=pictures,
        folder=folder,
        sr=study.sr,
    )


def chosen_network(space: Workspace) -> str:
    """Return the name of the network that embedded the seconds; the usual one where none did."""
    path = space.path("tables") / "parts.parquet"
    seconds = pd.read_parquet(path) if path.exists() else pd.DataFrame()
    if "embedding" in seconds and len(seconds):
        return seconds["embedding"].iloc[0]
    from musiclatent.edm import second_embeddings  # brings torch

    return second_embeddings.default_embedding()


def _mark(space: Workspace, k: int) -> str:
    """Name the state of the tables that stand behind the dashboard."""
    digest = hashlib.sha256(f"{CACHE_VERSION} {k}".encode())
    for name in TABLES:
        path = space.path("tables") / f"{name}.parquet"
        digest.update(path.read_bytes() if path.exists() else b"none")
    return digest.hexdigest()


def _make(study: Study, space: Workspace, k: int, name: str, folder: Path) -> list[str]:
    """Compute all that the dashboard shows; return the files that keep it."""
    from musiclatent.edm import collection  # brings torch

    tracks = collection.collect(study, space)
    k, embedded, z = tracks.clusters(k), tracks.seconds(name), tracks.vectors(collection.CLASSICAL)
    labels = tracks.labels(collection.CLASSICAL, k)
    codes, centres, _ = section_views.cluster_seconds(embedded.z, k)
    section = section_views.assign_to_sections(embedded.items, tracks.sections)
    by_network = section_views.majority_vote(codes, section, len(labels))
    x, y = projection.pca(embedded.z).points.T
    tables = {
        "sections": _sections(tracks.sections, z, labels, k).assign(network=names_of(by_network)),
        "seconds": embedded.items[PLACE].assign(x=x, y=y, cluster=names_of(codes), section=section),
    }
    for title, table in tables.items():
        files.write_file(folder / f"{title}.parquet", table.to_parquet(index=False))
    with files.whole_file(folder / "z.npz") as part, part.open("wb") as file:
        np.savez(file, attributes=z, numbers=embedded.z, reasons=_reasons(z, labels, k))
    pictures = _pictures(embedded, codes, centres, space)
    for cluster, picture in pictures.items():
        files.write_file(folder / f"{cluster}.png", picture)
    small = config.profile(space.profile).demo is not None  # cuts a second when it is first heard
    for items in (tables["sections"], *([] if small else [embedded.items])):
        # where `Map` and `Rows` look
        keep = delayed(partial(map_page.keep_segment, sr=study.sr, folder=folder / "sounds"))
        Parallel(2, backend="threading")(keep(row) for _, row in items.iterrows())
    return ["sections.parquet", "seconds.parquet", "z.npz", *(f"{name}.png" for name in pictures)]


def _sections(sections: pd.DataFrame, z: np.ndarray, labels: np.ndarray, k: int) -> pd.DataFrame:
    """Return one row per section: place, plane, cluster, memberships, descriptors."""
    x, y = projection.pca(z, fit_on=labels >= 0).points.T
    table = sections[PLACE].assign(x=x, y=y, cluster=names_of(labels))
    shares = soft_clustering.fuzzy_c_means(z, k, m=soft_clustering.fuzzifier(z, k)).memberships
    table[[f"belongs to {code}" for code in range(k)]] = shares
    return table.join(sections[[*section_views.SEVENTEEN, "tempo"]])


def names_of(codes: np.ndarray) -> list[str]:
    """Name clusters by their numbers."""
    return [NONE if code < 0 else f"cluster {code}" for code in codes]


def _reasons(z: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return SHAP values (B, D, K) of every section, by the forest of the cluster importance."""
    rows, values = labels >= 0, np.zeros((*z.shape, k), np.float32)
    forest = importance.fit_forest(z[rows], labels[rows])
    values[:, :, forest.classes_] = importance.shap_values(forest, z)
    return values


def _pictures(
    embedded, codes: np.ndarray, centres: np.ndarray, space: Workspace
) -> dict[str, bytes]:
    """Draw for each cluster the mean spectrogram of its seconds, and the mean Grad-CAM."""
    from musiclatent import studies
    from musiclatent.edm import second_embeddings
    from musiclatent.evaluation import saliency  # bring torch

    order = pd.Series(np.random.default_rng(SEED).permutation(len(codes)))
    most = FEW if config.profile(space.profile).demo else MEAN_OF
    rows = order.groupby(codes[order]).head(most).to_numpy()
    name, items = embedded.name, embedded.items.iloc[rows]
    x, second = second_embeddings.read_inputs(name, items, space.profile)
    window_s = 1 if name == "vggish" else studies.study("mel", space.profile).window_s
    net = second_embeddings.load_network(name, space)
    cam = saliency.toward_clusters(
        net, x, seconds=second, centres=centres, codes=codes[rows], window_s=window_s
    )
    frames = np.arange(int(x.shape[2] // window_s))  # of one second
    frames = (second * x.shape[2] / window_s).astype(int)[:, None, None] + frames
    x, cam = (np.take_along_axis(part, frames, axis=2) for part in (x, cam))
    limits = np.percentile(x, [2, 98])
    means = section_views.cluster_means(embedded.z, codes)
    pictures = {}
    for code, difference in (means - means.mean()).iterrows():
        shown = codes[rows] == code
        title = f"cluster {code}: mean of {shown.sum()} of {(codes == code).sum()} seconds"
        x_mean, cam_mean = x[shown].mean(axis=0), cam[shown].mean(axis=0)
        pictures[f"cluster {code}"] = png(
            _mean_picture(x_mean, cam_mean, difference, limits, title)
        )
    return pictures


def _mean_picture(x, cam, difference: pd.Series, limits: np.ndarray, title: str) -> Figure:
    """Draw mean spectrogram and Grad-CAM (M, T), and the latent dimensions that differ most."""
    figure = Figure(figsize=(WIDTH, 2.1), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=[1, 1, 1.1])
    place = {"origin": "lower", "aspect": "auto", "extent": (0, 1, 0, len(x))}
    axes[0].imshow(x, cmap="magma", vmin=limits[0], vmax=limits[1], **place)
    axes[1].imshow(cam, cmap="viridis", vmin=0, vmax=max(float(cam.max()), 1e-9), **place)
    for axis, name in zip(axes, ("spectrogram", "Grad-CAM"), strict=False):
        axis.set(xlabel="time (s)", xticks=[0, 0.5, 1], yticks=[], title=name)
    strongest = difference.loc[difference.abs().nlargest(STRONGEST).index][::-1]
    axes[2].barh([f"{i}" for i in strongest.index], strongest, color=style.PALETTE[0])
    axes[2].axvline(0, color="k", linewidth=0.8)
    axes[0].set_ylabel("mel bands")
    axes[2].set(title="dimensions", xlabel="from mean of all")
    figure.suptitle(title, fontsize=LETTERS)
    first = difference.abs().idxmax()
    said = (
        f"{title}; dimension {first} differs most from the mean of all ({difference[first]:+.3f})."
    )
    return small(style.caption(figure, said[:1].upper() + said[1:]))


def small(figure: Figure) -> Figure:
    """Set all letters to one size, legible where the picture is as wide as a phone."""
    for axis in figure.axes:
        axis.tick_params(labelsize=LETTERS, length=2)
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts):
            text.set_fontsize(LETTERS)
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as png and forget it."""
    said = {style.CAPTION: figure.get_label()}
    figure.savefig(buffer := io.BytesIO(), format="png", dpi=DPI, metadata=said)
    plt.close(figure)
    return buffer.getvalue()
