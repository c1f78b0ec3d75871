"""What the dashboard of dance music shows: sections by attributes, seconds by a network.

What takes long is made once and kept in a folder, so that opening it again only reads. Then no
torch is imported: each visitor of the page has a kernel of its own.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from matplotlib.figure import Figure

from musiclatent.analysis import clustering, importance, soft_clustering
from musiclatent.analysis.projection import pca
from musiclatent.config import SEED, Study, Workspace
from musiclatent.display import map_page, style
from musiclatent.edm import section_views
from musiclatent.files import whole_file, write_file, write_json

CACHE_VERSION = 2  # raise by hand when what is kept changes
TABLES = ("sections", "parts", "memberships", "comparison")  # of the notebooks that ran before
MEAN_OF = 40  # seconds of a cluster that its mean picture is made of
STRONGEST = 10  # attributes, or numbers of a network, that a picture shows
WIDTH, LETTERS, DPI = 4.4, 8.0, 160  # of pictures: inches, points, dots an inch
NONE = "none"
PLACE = ["item_id", "path", "start_s", "end_s"]


@dataclass(frozen=True)
class DashboardData:
    """What the dashboard shows.

    Parameters
    ----------
    name
        What network embedded the seconds, one of `second_embeddings.NAMES`.
    sections
        B rows: item_id, path, start_s, end_s, x, y (the plane of the attributes), cluster and
        network (names of clusters), ``belongs to 0`` ... (shares), the 17 attributes and tempo.
    seconds
        P rows: item_id, path, start_s, end_s, x, y, cluster, section (row of `sections`).
    z
        ``attributes`` (B, 17), standardised; ``numbers`` (P, D) of the network; ``reasons``
        (B, 17, K), what each attribute adds to the probability of each cluster.
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
        """Count sections a cluster, by both views."""
        sides = {"attributes": self.sections["cluster"], self.name: self.sections["network"]}
        table = pd.DataFrame({side: names.value_counts() for side, names in sides.items()})
        return table.fillna(0).astype(int).sort_index()

    def targets(self, side: str) -> np.ndarray:
        """Return the cluster of each section (B,), int, -1 for none; `side` names the column."""
        names = self.sections[side].replace(NONE, "cluster -1")
        return names.str.split().str[1].astype(int).to_numpy()

    def agreement(self) -> dict[str, float]:
        """Compare both views of the sections, see `clustering.agreement`."""
        return clustering.agreement(self.targets("cluster"), self.targets("network"))

    def crossed(self) -> pd.DataFrame:
        """Count the sections in each pair of clusters."""
        return clustering.contingency(self.targets("cluster"), self.targets("network"))


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
    folder, mark, kept = space.path("dashboard"), _mark(space, k), {}
    about = folder / "kept.json"
    if about.exists():
        kept = json.loads(about.read_text())
    if kept.get("mark") != mark or not all((folder / name).exists() for name in kept["files"]):
        about.unlink(missing_ok=True)
        kept = {"mark": mark, "name": chosen_network(space)}
        kept["files"] = _make(study, space, k, kept["name"], space.make("dashboard"))
        write_json(about, kept)  # last: without it the rest does not count
    with np.load(folder / "z.npz", allow_pickle=False) as arrays:
        z = dict(arrays)
    sections, seconds = (pd.read_parquet(folder / f"{t}.parquet") for t in ("sections", "seconds"))
    names = sorted(seconds["cluster"].unique())
    pictures = {name: (folder / f"{name}.png").read_bytes() for name in names}
    return DashboardData(kept["name"], sections, seconds, z, pictures, folder, study.sr)


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

    found = collection.collect(study, space)
    k, heard, z = found.clusters(k), found.seconds(name), found.vectors(collection.CLASSICAL)
    codes, centres, _ = section_views.cluster_seconds(heard.z, k)
    owner, labels = (
        section_views.assign_to_sections(heard.items, found.sections),
        found.labels(collection.CLASSICAL, k),
    )
    by_network = section_views.majority_vote(codes, owner, len(labels))
    plane = pca(heard.z).points
    place = {"x": plane[:, 0], "y": plane[:, 1], "cluster": names_of(codes), "section": owner}
    sections = _sections(found.sections, z, labels, k).assign(network=names_of(by_network))
    for title, table in (("sections", sections), ("seconds", heard.items[PLACE].assign(**place))):
        write_file(folder / f"{title}.parquet", table.to_parquet(index=False))
    arrays = {"attributes": z, "numbers": heard.z, "reasons": _reasons(z, labels, k)}
    with whole_file(folder / "z.npz") as part, part.open("wb") as file:
        np.savez(file, **arrays)
    pictures = _pictures(heard, codes, centres, space)
    for cluster, picture in pictures.items():
        write_file(folder / f"{cluster}.png", picture)
    for items in (sections, heard.items):
        sound = map_page.keep_segments(
            items, study.sr, folder / "sounds"
        )  # where `Map` and `Rows` look
        Parallel(2, backend="threading")(delayed(sound)(i) for i in range(len(items)))
    return ["sections.parquet", "seconds.parquet", "z.npz", *(f"{name}.png" for name in pictures)]


def _sections(sections: pd.DataFrame, z: np.ndarray, labels: np.ndarray, k: int) -> pd.DataFrame:
    """One row a section: place, plane, cluster, memberships, attributes."""
    plane = pca(z, fit_on=labels >= 0).points
    table = sections[PLACE].assign(x=plane[:, 0], y=plane[:, 1], cluster=names_of(labels))
    shares = soft_clustering.fuzzy_c_means(z, k, soft_clustering.fuzzifier(z, k)).memberships
    table[[f"belongs to {code}" for code in range(k)]] = shares
    return table.join(sections[[*section_views.SEVENTEEN, "tempo"]])


def names_of(codes: np.ndarray) -> list[str]:
    """Name clusters by their numbers."""
    return [NONE if code < 0 else f"cluster {code}" for code in codes]


def _reasons(z: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """SHAP values (B, D, K) of every section, by the forest of `importance.cluster_importance`."""
    rows, values = labels >= 0, np.zeros((*z.shape, k), np.float32)
    forest = importance.fit_forest(z[rows], labels[rows])
    values[:, :, forest.classes_] = importance.shap_values(forest, z)
    return values


def _pictures(heard, codes: np.ndarray, centres: np.ndarray, space: Workspace) -> dict[str, bytes]:
    """Draw for each cluster the mean spectrogram of its seconds, and the mean Grad-CAM."""
    from musiclatent import studies
    from musiclatent.edm import second_embeddings
    from musiclatent.evaluation import saliency  # bring torch

    order = pd.Series(np.random.default_rng(SEED).permutation(len(codes)))
    rows = order.groupby(codes[order]).head(MEAN_OF).to_numpy()
    x, second = second_embeddings.read_inputs(heard.name, heard.items.iloc[rows], space.profile)
    long = 1 if heard.name == "vggish" else studies.study("mel", space.profile).window_s
    net = second_embeddings.load_network(heard.name, space)
    cam = saliency.toward_clusters(net, x, second, centres, codes[rows], window_s=long)
    width = int(x.shape[2] // long)  # frames of one second
    starts = (second * x.shape[2] / long).astype(int)
    own = [
        np.stack([a[:, s : s + width] for a, s in zip(b, starts, strict=True)]) for b in (x, cam)
    ]
    means = section_views.cluster_means(heard.z, codes)
    apart, drawn = means - means.mean(), {}
    for code in means.index:
        mine = codes[rows] == code
        title = f"cluster {code}: mean of {mine.sum()} of {(codes == code).sum()} seconds"
        pair = [part[mine].mean(axis=0) for part in own]
        figure = _mean_picture(*pair, apart.loc[code], np.percentile(own[0], [2, 98]), title)
        drawn[f"cluster {code}"] = png(figure)
    return drawn


def _mean_picture(x, cam, apart: pd.Series, limits: np.ndarray, title: str) -> Figure:
    """Draw mean spectrogram and Grad-CAM (M, T), and which numbers are unlike the others'."""
    figure = Figure(figsize=(WIDTH, 2.1), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=[1, 1, 1.1])
    place = {"origin": "lower", "aspect": "auto", "extent": (0, 1, 0, len(x))}
    axes[0].imshow(x, cmap="magma", vmin=limits[0], vmax=limits[1], **place)
    axes[1].imshow(cam, cmap="viridis", vmin=0, vmax=max(float(cam.max()), 1e-9), **place)
    for axis, name in zip(axes, ("spectrogram", "Grad-CAM"), strict=False):
        axis.set(xlabel="time (s)", xticks=[0, 0.5, 1], yticks=[], title=name)
    strongest = apart.loc[apart.abs().nlargest(STRONGEST).index][::-1]
    axes[2].barh([f"{i}" for i in strongest.index], strongest, color=style.PALETTE[0])
    axes[2].axvline(0, color="k", linewidth=0.8)
    axes[0].set_ylabel("mel bands")
    axes[2].set(title="numbers", xlabel="from mean of all")
    figure.suptitle(title, fontsize=LETTERS)
    return small(figure)


def small(figure: Figure) -> Figure:
    """Give all letters one size, legible where the picture is as wide as a phone."""
    for axis in figure.axes:
        axis.tick_params(labelsize=LETTERS, length=2)
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts):
            text.set_fontsize(LETTERS)
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as png and forget it."""
    figure.savefig(buffer := io.BytesIO(), format="png", dpi=DPI)
    plt.close(figure)
    return buffer.getvalue()
