"""What the gallery says of its figures: from numbers to sentences, whose words follow from the numbers.

Nothing is concluded anywhere else, so other figures give another answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

Shares = Mapping[str, float]


def percent(share: float) -> str:
    """A share, in whole per cent; below ten, with a decimal."""
    return f"{100 * share:.0f} %" if abs(share) >= 0.0995 or share == 0.0 else f"{100 * share:.1f} %"


def listed(parts: Sequence[object]) -> str:
    """``a, b and c``."""
    words = [str(part) for part in parts]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def minus(number: object) -> str:
    """A number as it is written for people: with a minus, not a hyphen."""
    return str(number).replace("-", "−")


def code(name: str) -> str:
    return f"`{name}`"


def each(shares: Shares, form: str = "{}") -> str:
    """``x of `a` and y of `b```: shares in per cent, or numbers by a format."""
    return listed([f"{percent(v) if form == '{}' else form.format(v)} ({code(name)})" for name, v in shares.items()])


def latent_size(mse: Mapping[int, float], pca: Mapping[int, float]) -> str:
    sizes = sorted(mse)
    first, last = sizes[0], sizes[-1]
    gains = {size: 1 - mse[after] / mse[size] for size, after in pairwise(sizes)}
    flat = next((size for at, size in enumerate(sizes[:-1]) if all(gains[s] < 0.1 for s in sizes[at:-1])), last)
    fall = f"the error falls from {mse[first]:.4f} with {first} numbers to {mse[flat]:.4f} with {flat}"
    if flat == first:
        said = f"**Hardly:** from {first} numbers on, twice as many take off less than 10 % of the error."
    elif flat == last:
        by = listed([minus(round(100 * gain)) for gain in gains.values()])
        said = f"**Yes:** {fall}; the doublings take off {by} %."
    else:
        said = f"**Yes, up to {flat} numbers:** {fall}; each doubling from there on takes off less than 10 %."
    better = [size for size in sizes if pca[size] < mse[size]]
    if not better:
        return f"{said} PCA of the same size is worse everywhere."
    if better == sizes:
        return f"{said} PCA of the same size is better everywhere."
    if better == sizes[-len(better) :]:
        before, since = sizes[-len(better) - 1], better[0]
        return (
            f"{said} Up to {before} the network beats PCA of the same size; from {since} on PCA is better "
            f"({pca[since]:.4f} against {mse[since]:.4f}, and at {last} {pca[last]:.4f} against {mse[last]:.4f})."
        )
    return f"{said} PCA of the same size is better with {listed(better)} numbers."


def gaps(
    plain: Shares, variational: Shares, heap: float, widest: Mapping[str, tuple[str, str, float]], clear: Shares,
    usual: Shares,
) -> str:  # fmt: skip
    """``plain`` and ``variational``: the share of ways between digits that cross an empty place, in each map;
    ``widest``: between which two classes the most do; ``clear`` of images decoded from empty places, and ``usual`` of
    reconstructions.
    """
    limit = 1.5 * heap
    has, closed = max(plain.values()) > limit, max(variational.values()) <= limit
    verdict = {
        (False, True): "**No, in none of the maps.**",
        (True, True): "**Yes, and the KL closes them.**",
        (True, False): "**Yes, some, and the KL does not close them.**",
        (False, False): "**Only in the variational map.**",
    }[has, closed]
    less = [clear[name] - usual[name] for name in clear]
    often = "more often than" if min(less) > 0.05 else "as often as" if min(less) > -0.05 else "less often than"
    pairs = listed([f"{first} and {last} ({percent(share)}, {code(n)})" for n, (first, last, share) in widest.items()])
    return (
        f"{verdict} Of straight ways between two digits {each({**plain, **variational})} cross an empty place, and "
        f"{percent(heap)} in a round heap of as many Gaussian points; the most between {pairs}. What is decoded there "
        f"is like one digit {often} a reconstruction is: {each(clear)}, against {each(usual)}."
    )


def centred(offsets: Shares) -> str:
    """``offsets``: how far the mean latent of each map is from 0."""
    least = min(offsets, key=lambda name: offsets[name])
    return f"The nearest to 0 is the map of {code(least)}; the means lie {each(offsets, '{:.2f}')} from it."


def smooth(strip: Shares, uneven: Shares, variational: str) -> str:
    """Of each map the mean of largest by mean step, and the 99th percentile of the grid's steps by their median."""
    others = [name for name in strip if name != variational]
    counts = [
        sum(figures[variational] < 1 + 0.8 * (figures[name] - 1) for figures in (strip, uneven)) for name in others
    ]
    more = [code(name) for name, count in zip(others, counts, strict=True) if count == 2]
    rest = [code(name) for name, count in zip(others, counts, strict=True) if count < 2]
    if not more:
        verdict = f"**Not clearly more than without a KL** ({listed(rest)})."
    elif rest:
        verdict = f"**Smoother than {listed(more)}, not clearly smoother than {listed(rest)}.**"
    else:
        verdict = f"**Yes:** clearly smoother than {listed(more)}."
    return (
        f"{verdict} On a way of 11 images between two digits the largest step is {each(strip, '{:.2f}')} times the "
        f"mean one; over the map the largest changes between neighbours are {each(uneven, '{:.2f}')} times the median."
    )


def no_prior(name: str, variational: str, scale: Shares, outside: Shares, clear: Shares) -> str:
    """``scale``: the median σ by the spread of the means; ``outside``: draws of N(0, I) where no latent is."""
    shrunk = scale[name] < 0.05
    worse = outside[name] > 1.5 * outside[variational]
    alike = clear[name] > clear[variational] - 0.05
    verdict = (
        "**No, though its samples do not show it.**"
        if worse and alike
        else "**No.**"
        if worse
        else "**By accident.**"
        if shrunk
        else "**Yes.**"
    )
    grown = (
        "nothing holds its noise up, so that a sample is hardly more than the mean"
        if shrunk
        else "its noise has not shrunk"
    )
    return (
        f"{verdict} The σ of {code(name)} is {percent(scale[name])} of the spread of its means: {grown}; "
        f"that of {code(variational)} is {percent(scale[variational])}. Of draws from N(0, I), "
        f"{each(outside)} fall where no latent is, and {each(clear)} decode to something like one digit."
    )


def convolutions(name: str, resolutions: Sequence[int], ink: int, edges: int, filters: int, dead: int, of: int) -> str:
    seen = "mostly edges" if edges > ink else "mostly where there is ink" if ink > edges else "edges and ink alike"
    lost = "none is unused" if dead == 0 else f"{dead} never vary" if dead > 1 else "one never varies"
    return (
        f"**In {code(name)} {seen}:** of the {filters} first filters, {edges} weigh bright against dark (an edge) and "
        f"{ink} add up what is there (ink). The maps shrink from {resolutions[0]}×{resolutions[0]} to "
        f"{resolutions[-1]}×{resolutions[-1]} places; of the {of} channels of the latent, {lost}."
    )


def larger_latent(name: str, ratio: float, mse: float, dead: int, channels: int) -> str:
    kind = "larger" if ratio < 1 else "smaller"
    return (
        f"{code(name)} has a latent that is {kind} than the image, {1 / ratio if ratio < 1 else ratio:.2g} times, and "
        f"still an error of {mse:.4f}; {dead} of its {channels} channels are 0 for every image."
    )


def checkerboard(energy: Shares, transposed: Sequence[str], upsampled: str, originals: float) -> str:
    worst = max(transposed, key=lambda name: energy[name])
    plainly = [name for name in transposed if energy[name] > 3 * max(originals, energy[upsampled])]
    verdict = (
        f"**Yes, in {listed([code(name) for name in plainly])}.**" if plainly else "**Hardly a trace in any of them.**"
    )
    ratio = energy[worst] / originals
    return (
        f"{verdict} The four kinds of pixels of a 2×2 pattern differ in brightness by {each(energy)}, and by "
        f"{percent(originals)} in the originals: the most of those with transposed convolutions, {code(worst)}, has "
        f"{ratio:.3g} times as much of the pattern as they, and {code(upsampled)}, which upsamples, "
        f"{energy[upsampled] / originals:.1f} times."
    )


def relu_latent(dead: Mapping[str, int], of: int, mse: Shares, linear: str, pca: float) -> str:
    """``mse`` of models with a ReLU latent and, under the name ``linear``, the first of them without it."""
    first = next(name for name in mse if name != linear)
    cost = mse[first] / mse[linear] - 1
    verdict = "**Yes:**" if cost > 0.02 else "**No:**" if cost < -0.02 else "**Hardly:**"
    units = listed([f"{count} of {of} ({code(name)})" for name, count in dead.items() if name != linear])
    worse = [name for name in mse if mse[name] > pca]
    beaten = (
        f"PCA with {of} numbers, {pca:.4f}, is better than {listed([code(name) for name in worse])}"
        if worse
        else f"all are better than PCA with {of} numbers, {pca:.4f}"
    )
    alone = (
        "; so the ReLU is not the main reason"
        if linear in worse and first in worse and cost < (mse[first] / pca - 1) / 2
        else ""
    )
    return (
        f"{verdict} {units} units are 0 for every image. The error is {each(mse, '{:.4f}')}: with the ReLU "
        f"{percent(abs(cost))} {'more' if cost > 0 else 'less'} than the same network with a linear latent. "
        f"Here {beaten}{alone}."
    )


def sparsity(used: Shares, dead: Mapping[str, int], mse: Shares, units: int) -> str:
    most, least = max(used, key=lambda n: used[n]), min(used, key=lambda n: used[n])
    lost = [name for name in dead if dead[name] > units / 4]
    ending = (
        f"More than a quarter of the units do nothing in {listed([code(name) for name in lost])}"
        if lost
        else "In none of them more than a quarter of the units do nothing"
    )
    return (
        f"**Of {units} numbers an image has {used[least]:.0f} ({code(least)}) to {used[most]:.0f} ({code(most)}) that "
        f"are not 0.** {ending}: {each(dead, '{}' + f' of {units}')} are 0 for every image. "
        f"The errors are {each(mse, '{:.4f}')}."
    )


def contraction(norm: Shares, directions: Shares, mse: Shares, with_it: str, without: str) -> str:
    """``norm``: the mean ‖∂z/∂x‖ of each; ``directions``: how many singular values are above a tenth of the largest."""
    ratio = norm[without] / norm[with_it]
    cost = mse[with_it] / mse[without]
    verdict = "**Yes:**" if ratio > 1.5 else "**Hardly:**" if ratio > 1.0 else "**No:**"
    steeper = "fewer" if directions[with_it] < directions[without] else "no fewer"
    return (
        f"{verdict} ‖∂z/∂x‖ is {norm[with_it]:.2f} with the penalty and {norm[without]:.2f} without, {ratio:.1f} times "
        f"as much. {steeper.capitalize()} directions count: {directions[with_it]:.0f} against "
        f"{directions[without]:.0f} singular values are above a tenth of the largest. The price is an error of "
        f"{mse[with_it]:.4f} against {mse[without]:.4f}, {cost:.1f} times as much."
    )


def codebook(used: Mapping[str, int], size: Mapping[str, int], perplexity: Shares, mse: Shares) -> str:
    share = {name: used[name] / size[name] for name in used}
    even = {name: perplexity[name] / size[name] for name in used}
    verdict = (
        "**Yes, nearly all of it, but not evenly.**"
        if min(share.values()) > 0.9 and min(even.values()) < 0.75
        else "**Yes, and evenly.**"
        if min(share.values()) > 0.9
        else "**Not all of it.**"
    )
    parts = [
        f"{code(name)} uses {used[name]} of {size[name]} codes, as much as {perplexity[name]:.0f} that were used alike "
        f"would tell, at an error of {mse[name]:.4f}"
        for name in used
    ]
    return f"{verdict} {'; '.join(parts)}."


def arithmetic(right: Shares, own: Shares) -> str:
    """How often z₁ + z₂ − z₃ stays in the class of z₁, and how often z₁ itself is nearest to it."""
    kept = sum(right[name] / own[name] for name in right) / len(right)
    verdict = "**Mostly.**" if kept > 0.8 else "**Sometimes.**" if kept > 0.4 else "**Hardly.**"
    return (
        f"{verdict} The sum is nearest to the class of z₁ in {each(right)} of the cases; z₁ itself is in "
        f"{each(own)}, and chance would be in 10 %."
    )


def failures(by_label: Mapping[str, float], correlation: Shares, worst: float, name: str) -> str:
    """``by_label``: the mean error of each class by that of all; ``correlation``: of the error with what is seen."""
    order = sorted(by_label, key=lambda label: -by_label[label])
    strongest = max(correlation, key=lambda factor: abs(correlation[factor]))
    spread = by_label[order[0]] / by_label[order[-1]]
    verdict = f"**At {order[0]} and {order[1]}**" if spread > 1.5 else "**At no digit in particular**"
    direction = "more" if correlation[strongest] > 0 else "less"
    rank = minus(f"{correlation[strongest]:+.2f}")
    tied = (
        f"the error grows most with {direction} {strongest} (rank correlation {rank})"
        if abs(correlation[strongest]) > 0.3
        else f"it hangs on neither ink, width, height nor slant (the most: {strongest}, {rank})"
    )
    return (
        f"{verdict} ({code(name)}): their errors are {by_label[order[0]]:.2f} and {by_label[order[1]]:.2f} times the "
        f"mean, and that of {order[-1]} is {by_label[order[-1]]:.2f} times; {tied}. "
        f"The worst image has {worst:.1f} times the median error."
    )


def drawing(prior: Shares, mixture: Shares, usual: Shares, real: float, plain: str, trained: Sequence[str]) -> str:
    """Which share of what is drawn from the prior and from a mixture, and of reconstructions, is like one digit.

    ``trained``: the models whose latents were brought to the prior in training; ``plain``: one that was not.
    """
    gain = mixture[plain] - prior[plain]
    near = mixture[plain] > 0.75 * usual[plain]
    verdict = (
        "**Not from N(0, I), but from a mixture, nearly.**"
        if gain > 0.2 and near
        else "**Better from a mixture, but neither is good.**"
        if gain > 0.2
        else "**The mixture is no great help.**"
    )
    without = max(prior[name] for name in prior if name not in trained)
    helped = [name for name in trained if prior[name] > without + 0.05]
    said = (
        f"Bringing the latents to N(0, I) in training helps its draws ({listed([code(name) for name in helped])})"
        if helped
        else "Bringing the latents to N(0, I) in training does not help its draws"
    )
    better = [name for name in prior if prior[name] > mixture[plain]]
    ending = "" if better else f", but a mixture on {code(plain)} gives more that is like a digit"
    return (
        f"{verdict} Like one digit are {each(mixture)} of the draws of a mixture and {each(prior)} of those of "
        f"N(0, I); of reconstructions {each(usual)}, of held-out digits {percent(real)}. {said}{ending}."
    )


def denoising(before: Mapping[float, float], after: Mapping[float, float], largest: float, clean: float) -> str:
    """PSNR in dB by σ, and of a clean image's reconstruction; ``largest``: the σ up to which the model was trained."""
    gains = {sigma: after[sigma] - before[sigma] for sigma in before}
    helps = [sigma for sigma in gains if gains[sigma] > 0.5]
    verdict = (
        "**At every strength some, the more the noisier.**"
        if len(helps) == len(gains) and list(gains.values()) == sorted(gains.values())
        else "**At every strength some.**"
        if len(helps) == len(gains)
        else f"**Only where σ is {listed([f'{sigma:g}' for sigma in helps])}.**"
        if helps
        else "**None.**"
    )
    steps = [f"σ = {sigma:g}: {before[sigma]:.1f} → {after[sigma]:.1f} dB" for sigma in before]
    beyond = [sigma for sigma in gains if sigma > largest]
    unseen = f" Training went up to {largest:g}; beyond it the gain is {gains[beyond[0]]:+.1f} dB." if beyond else ""
    return f"{verdict} {'; '.join(steps)}; a clean image comes back at {clean:.1f} dB.{unseen}"


def dimensions(active: Mapping[str, int], kl: Shares, of: int, best: Mapping[str, tuple[str, int, float]]) -> str:
    """``best``: for each model and factor, the dimension with the strongest rank correlation, and that."""
    strong = sum(abs(value) > 0.5 for _, _, value in best.values())
    clearly = sum(abs(value) > 0.8 for _, _, value in best.values())
    verdict = (
        "**Some for what one sees.**"
        if clearly
        else "**Partly for what one sees, none for one thing alone.**"
        if strong
        else "**For nothing that has a name here.**"
    )
    found = listed([f"{name} z{at} ({minus(f'{value:+.2f}')})" for name, (_, at, value) in best.items()])
    model = next(iter(best.values()))[0]
    used = listed(
        [f"{count} of {of} dimensions carry more than 0.1 nats in {code(name)}" for name, count in active.items()]
    )
    return (
        f"{verdict} {used}; all carry {each(kl, '{:.1f} nats')}. In {code(model)} the strongest rank "
        f"correlation of a dimension with a factor is: {found}."
    )


def training(falling: Sequence[str], rising: Sequence[str], of: int) -> str:
    """``falling``: whose last held-out loss is over 1 % below all before; ``rising``: whose is not the least."""
    if not falling and not rising:
        return f"**Yes:** of {of} models none gained 1 % in its last epoch, and none had been better before."
    verdict = "**Mostly not:**" if len(falling) > of / 2 else "**Mostly:**"
    up = (
        f"; in {len(rising)} ({listed([code(name) for name in rising])}) it had been lower before"
        if rising
        else "; in none had it been lower before, so none overfits yet"
    )
    still = f"the last held-out loss of {len(falling)} of {of} models is more than 1 % below all before it"
    return f"{verdict} {still}{up}."


def neighbours(shares: Mapping[int, float], pixels: float) -> str:
    """By latent size the share of images whose nearest neighbour has the same label, and that by pixels."""
    sizes = sorted(shares)
    best = max(sizes, key=lambda size: shares[size])
    enough = (
        next(size for size in sizes if shares[size] > pixels - 0.03)
        if any(shares[size] > pixels - 0.03 for size in sizes)
        else None
    )
    verdict = (
        f"**Yes, from {enough} numbers on nearly as well as by all pixels.**"
        if enough is not None
        else "**Less than by their pixels.**"
    )
    steps = ", ".join(f"{percent(shares[size])} with {size}" for size in sizes)
    return (
        f"{verdict} The nearest neighbour of an image has its label for {steps} numbers, and for {percent(pixels)} by "
        f"the pixels themselves; {best} is the best size. Chance would be 10 %."
    )


def depth(mse: Shares, failed: Mapping[str, int], shallow: str, pca: float, of: int) -> str:
    """``failed``: how many images are further from their reconstruction than from a black one."""
    better = [name for name in mse if name != shallow and mse[name] < 0.95 * mse[shallow]]
    worse = [name for name in mse if name != shallow and mse[name] > 1.05 * mse[shallow]]
    parts = []
    if better:
        parts.append(f"{listed([code(name) for name in better])} beats the shallow {code(shallow)}")
    if worse:
        parts.append(f"{listed([code(name) for name in worse])} does worse than {'it' if better else code(shallow)}")
    verdict = ", ".join(parts) or "Depth makes no difference of 5 %"
    beaten = [name for name in mse if mse[name] > pca]
    bad = {name: count for name, count in failed.items() if count}
    lost = f" A black image would be nearer than the reconstruction for {each(bad, '{} images')}." if bad else ""
    against = f"better than {listed([code(name) for name in beaten])}" if beaten else "worse than all of them"
    return (
        f"**{verdict}.** With {of} numbers each the errors are {each(mse, '{:.4f}')}; PCA, {pca:.4f}, is {against}."
        f"{lost}"
    )
