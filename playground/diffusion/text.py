"""Visible strings of the diffusion tab, key -> (English, Chinese)."""

TEXT = {
    "diffusion.tab": ("Diffusion", "扩散模型"),
    # its row of the overview
    "diffusion.overview.what": ("Noise is taken away in many small steps, each learnt by least squares.", "噪声分许多小步去除，每一步都用最小二乘学会。"),
    "diffusion.overview.encode": ("only by adding noise", "只能靠加噪声"),
    "diffusion.overview.sample": ("yes, in many steps; here 20", "能，分许多步；这里 20 步"),
    "diffusion.overview.likelihood": ("a bound: {likelihood} bits per dimension", "有上界：每维 {likelihood} 比特"),
    "diffusion.overview.next": (
        "All four draw flat pictures of many things. The same descent, through the rendering of light, fits one thing from all sides:",
        "以上四种画的是许多事物的平面图片。同样的梯度下降穿过光的渲染，就能从各个方向拟合一件事物：",
    ),
    "diffusion.try": (
        "A diffusion model (DDPM) learns one small thing: which noise is in this picture? Asked again and again, it turns pure noise into "
        "a digit. Click a picture to follow how it came about. Notice that the same seed with another class keeps its slant and thickness.",
        "扩散模型（diffusion model, DDPM）只学一件小事：这张图片里有哪些噪声？反复询问它，纯噪声就变成了数字。点击一张图片，看它是如何产生的。"
        "注意：同一个种子换一个类别，倾斜和粗细会保留下来。",
    ),
    # the structure figure
    "diffusion.figure": ("The chain of diffusion: noise is added to the right, and taken away to the left", "扩散链：向右逐步加噪，向左逐步去噪"),
    "diffusion.x_0": ("x₀, a picture", "x₀，一张图片"),
    "diffusion.x_t": ("x<sub>t</sub>, noisy", "x<sub>t</sub>，含噪"),
    "diffusion.x_T": ("x<sub>T</sub>, pure noise", "x<sub>T</sub>，纯噪声"),
    # the controls at the top, and sixteen samples
    "diffusion.samples": ("From noise to a picture", "从噪声到图片"),
    "diffusion.class": ("Class", "类别 (class)"),
    "diffusion.class.any": ("any", "任意"),
    "diffusion.another": ("Sixteen others", "换十六张"),
    "diffusion.grid.alt": ("Sixteen samples of the model", "模型的十六个样本"),
    "diffusion.grid.pick": ("Sample {i} of {n}: follow how it came about", "第 {i} 个样本，共 {n} 个：看它如何产生"),
    # reverse: the debugger, its branches, its film
    "diffusion.reverse": ("Reverse: take the noise away, step by step", "逆向：一步步去噪"),
    "diffusion.reverse.try": (
        "Press play, or take single steps. At each step the network names the noise in x<sub>t</sub>; that says which picture it has in mind, x̂₀; "
        "the next x lies between the two, with fresh noise z where the sampler adds any. Time runs backwards here: t falls from T to 0. Notice that x̂₀ is there long before the noise is gone.",
        "点击播放，或单步执行。每一步，网络指出 x<sub>t</sub> 中的噪声，也就说出了它心中的图片 x̂₀；下一个 x 落在二者之间；采样器若需要，再加新的噪声 z。"
        "这里时间倒流：t 从 T 降到 0。注意 x̂₀ 在噪声消失之前很久就已成形。",
    ),
    "diffusion.sampler": ("Sampler", "采样器 (sampler)"),
    "diffusion.steps": ("Steps", "步数"),
    "diffusion.eta": ("η, chance", "η，随机程度"),
    "diffusion.guidance": ("Guidance, once a class is chosen", "引导 (guidance)，选定类别后有效"),
    "diffusion.free": ("classifier-free", "无分类器"),
    "diffusion.classifier": ("by a classifier", "用分类器"),
    "diffusion.scale": ("Scale s", "强度 s"),
    "diffusion.player": ("The step in sight, from noise to the picture", "当前步，从噪声到图片"),
    "diffusion.reverse.alt": ("One step: x at t, the predicted noise, the predicted picture, the mean, and the next x",
                              "一步：t 时刻的 x、预测的噪声、预测的图片、均值，以及下一个 x"),
    "diffusion.reverse.x_t": ("x<sub>t</sub>, noisy", "x<sub>t</sub>，含噪"),
    "diffusion.reverse.eps": ("ε<sub>θ</sub>, the noise it sees", "ε<sub>θ</sub>，预测的噪声"),
    "diffusion.reverse.x_0": ("x̂₀, the picture it has in mind", "x̂₀，预测的图片"),
    "diffusion.reverse.mean": ("μ, the mean of the step", "μ，这一步的均值"),
    "diffusion.reverse.x_prev": ("the next x, a sample", "下一个 x（采样）"),
    "diffusion.beta": ("β<sub>t</sub>, of this step", "β<sub>t</sub>（这一步）"),
    "diffusion.beta_tilde": ("β̃<sub>t</sub>, of the posterior", "β̃<sub>t</sub>（后验）"),
    "diffusion.moved": ("‖x<sub>t−1</sub> − x<sub>t</sub>‖, how far it goes", "‖x<sub>t−1</sub> − x<sub>t</sub>‖，移动的距离"),
    "diffusion.branches": ("Branches", "分支"),
    "diffusion.branches.try": (
        "Go to a step and branch: what lies before it stays, and whatever you change above from then on (seed, class, guidance, sampler, η) decides "
        "only the rest. Branch early and late: the same change makes another digit, or hardly another stroke.",
        "走到某一步再分支：之前的部分保持不变，此后您在上方改动的一切（种子、类别、引导、采样器、η）只决定其余部分。"
        "早分支和晚分支各试一次：同样的改动，早则变成另一个数字，晚则几乎不变。",
    ),
    "diffusion.branch": ("Branch at this step", "在这一步分支"),
    "diffusion.release": ("From noise again, forget the branches", "重新从噪声开始，忘掉分支"),
    "diffusion.tree": ("The branches, from noise on the left to their pictures on the right", "各分支，从左侧的噪声到右侧的图片"),
    "diffusion.tree.pick": ("Go to branch {i}", "转到分支 {i}"),
    "diffusion.apart": ("distance to the branch it left", "与原分支末端的距离"),
    "diffusion.hold": ("the t from which your changes hold", "改动起生效的时刻 t"),
    "diffusion.film": ("The film in two rows", "两行影片"),
    "diffusion.film.try": (
        "Above x<sub>t</sub>, below the picture x̂₀ the network has in mind. Click one to go to its step. Notice how early the class is settled, in the "
        "eyes of a classifier that takes no part in the sampling, and how late the strokes are.",
        "上排 x<sub>t</sub>，下排是网络心中的图片 x̂₀。点击任意一张跳到那一步。注意：在一个不参与采样的分类器看来，类别很早就已确定，而笔画很晚才定下来。",
    ),
    "diffusion.film.alt": ("Twelve steps of the film: the noisy picture above, the predicted one below", "影片的十二步：上排为含噪图片，下排为预测的图片"),
    "diffusion.film.pick": ("Go to the step of picture {i} of {n} of the film", "转到影片第 {i} 张图片的那一步，共 {n} 张"),
    "diffusion.film.certain": ("p(final class | x̂₀), an independent classifier", "p(最终类别 | x̂₀)，独立的分类器"),
    "diffusion.settled": ("settled at t (p > 0.9 from there on)", "类别确定于 t（此后 p > 0.9）"),
    "diffusion.judged": ("the class it ends with", "最终的类别"),
    "diffusion.calls": ("calls of the network", "网络调用次数"),
    "diffusion.formulas": ("The formulas, with the numbers of this moment", "公式与此刻的数字"),
    "diffusion.f.posterior": (
        "**Where the step aims** (Ho et al. 2020, eqs. 6-7 and 11): the mean of q(x<sub>t−1</sub> | x<sub>t</sub>, x₀), a mix of the picture and of x<sub>t</sub>, or written with the noise. "
        "Sampling puts the network's prediction in the place of what it cannot know.",
        "**这一步瞄准哪里**（Ho et al. 2020，式 6-7 与 11）：q(x<sub>t−1</sub> | x<sub>t</sub>, x₀) 的均值，是图片与 x<sub>t</sub> 的混合，也可用噪声来写。采样时用网络的预测代替无从知道的量。",
    ),
    "diffusion.f.step": (
        "**The step of DDPM** (algorithm 2): the mean plus noise, whose variance is β̃<sub>t</sub> or β<sub>t</sub> (η of DDPM goes from the one to the other); z = 0 at "
        "the last step. DDIM and DPM-Solver++ weigh x̂₀ and x<sub>t</sub> otherwise: the line under the pictures has the weights of the sampler you chose, and x̃₀ where DPM-Solver++ extrapolates x̂₀ from two steps.",
        "**DDPM 的一步**（算法 2）：均值加噪声，方差取 β̃<sub>t</sub> 或 β<sub>t</sub>（DDPM 的 η 在二者之间变化）；最后一步 z = 0。"
        "DDIM 和 DPM-Solver++ 对 x̂₀ 与 x<sub>t</sub> 的权重不同：图片下方那一行是所选采样器的权重；DPM-Solver++ 由两步外推 x̂₀ 时写作 x̃₀。",
    ),
    # guidance
    "diffusion.guided": ("Guidance taken apart", "拆开看引导"),
    "diffusion.guided.try": (
        "Two ways to ask for a class: follow the gradient of a classifier that knows noisy pictures, or exaggerate the difference that naming the class makes. "
        "Raise the scale s: 0 ignores the class, 1 obeys it, and beyond 1 the push (drawn on a scale of its own) grows against the noise. The gradient is subtracted, for ε points away from the picture. Without a class chosen above, it is the seed's last digit.",
        "要求某个类别有两种办法：沿着一个认识含噪图片的分类器的梯度走，或者放大“说出类别”带来的差别。提高强度 s：0 忽略类别，1 遵从，更大时推力（按自身的尺度绘制）相对噪声越来越大。"
        "梯度是减去的，因为 ε 指向远离图片的方向。若上方未选类别，则取种子的末位数字。",
    ),
    "diffusion.guided.alt": ("The parts of a guided step: above by a classifier, below classifier-free", "引导一步的组成：上排用分类器，下排无分类器"),
    "diffusion.guided.step": ("Step of 20, from noise to picture", "20 步中的第几步，从噪声到图片"),
    "diffusion.guided.classifier.free": ("ε<sub>θ</sub>(x<sub>t</sub>), no class", "ε<sub>θ</sub>(x<sub>t</sub>)，无类别"),
    "diffusion.guided.classifier.push": ("the push, − s √(1−ᾱ<sub>t</sub>) ∇ log p(y | x<sub>t</sub>)", "推力，− s √(1−ᾱ<sub>t</sub>) ∇ log p(y | x<sub>t</sub>)"),
    "diffusion.guided.classifier.guided": ("ε̂, guided by the classifier", "ε̂，分类器引导"),
    "diffusion.guided.classifier.sample": ("its sample", "其样本"),
    "diffusion.guided.free.free": ("ε<sub>θ</sub>(x<sub>t</sub>), no class", "ε<sub>θ</sub>(x<sub>t</sub>)，无类别"),
    "diffusion.guided.free.push": ("the push, s (ε<sub>θ</sub>(x<sub>t</sub>, y) − ε<sub>θ</sub>(x<sub>t</sub>))", "推力，s (ε<sub>θ</sub>(x<sub>t</sub>, y) − ε<sub>θ</sub>(x<sub>t</sub>))"),
    "diffusion.guided.free.guided": ("ε̂, classifier-free", "ε̂，无分类器引导"),
    "diffusion.guided.free.sample": ("its sample", "其样本"),
    "diffusion.guided.t": ("t of this step", "这一步的 t"),
    "diffusion.guided.ratio.classifier": ("‖push‖ / ‖ε<sub>θ</sub>‖, classifier", "‖推力‖ / ‖ε<sub>θ</sub>‖，分类器"),
    "diffusion.guided.ratio.free": ("‖push‖ / ‖ε<sub>θ</sub>‖, classifier-free", "‖推力‖ / ‖ε<sub>θ</sub>‖，无分类器"),
    "diffusion.f.guidance": (
        "**Guidance** by a classifier (Dhariwal & Nichol 2021, algorithm 2 with its scale) and without one (Ho & Salimans 2022, eq. 6, s = 1 + w). "
        "s = 0 ignores the class in both; with the exact classifier s = 1 gives the conditional noise.",
        "**引导**：用分类器（Dhariwal & Nichol 2021，算法 2，加上强度 s），以及不用分类器（Ho & Salimans 2022，式 6，s = 1 + w）。"
        "两者中 s = 0 都忽略类别；若分类器精确，s = 1 恰好给出条件噪声。",
    ),
    "diffusion.scales": ("The same x<sub>T</sub> at five scales", "同一个 x<sub>T</sub>，五种强度"),
    "diffusion.scales.try": (
        "Under each picture: how sure the guide is that it is the class asked for, and how sure a classifier that took no part. Where the first says 1.00 and the "
        "second hesitates, the gradient has fooled its own classifier: an adversarial picture.",
        "每张图下方：引导者有多确信它属于所要求的类别 / 未参与引导的分类器有多确信。若前者为 1.00 而后者犹豫，说明梯度骗过了它自己的分类器：这是对抗样本 (adversarial)。",
    ),
    "diffusion.scales.alt": ("Samples for the scales 0, 1, 2, 4 and 8: above by a classifier, below classifier-free", "强度 0、1、2、4、8 的样本：上排用分类器，下排无分类器"),
    "diffusion.scales.classifier": ("p(y | x<sub>t</sub>) along the way, guided by the classifier", "分类器引导时，沿途的 p(y | x<sub>t</sub>)"),
    "diffusion.scales.free": ("p(y | x<sub>t</sub>) along the way, classifier-free", "无分类器引导时，沿途的 p(y | x<sub>t</sub>)"),
    "diffusion.scales.0": ("s = 0", "s = 0"),
    "diffusion.scales.1": ("1", "1"),
    "diffusion.scales.2": ("2", "2"),
    "diffusion.scales.4": ("4", "4"),
    "diffusion.scales.8": ("8", "8"),
    # what was learnt by heart
    "diffusion.memory": ("Has it learnt this by heart?", "它是背下来的吗？"),
    "diffusion.memory.try": (
        "A sample of the seed above, and the training pictures most like it. Try the emoji: with three thousand pictures some samples are nearly copies. "
        "A sample much nearer to a training picture than an unseen picture usually is has been remembered, not made up.",
        "上方种子的一个样本，以及与它最相似的训练图片。试试 emoji 模型：只有三千张图片时，有些样本几乎就是复制品。"
        "如果样本离某张训练图片比未见过的图片通常的距离近得多，那它是被记住的，而不是创造的。",
    ),
    "diffusion.memory.alt": ("A sample, and the six training pictures nearest to it", "一个样本，以及离它最近的六张训练图片"),
    "diffusion.memory.sample": ("the sample", "样本"),
    "diffusion.memory.nearest": ("its distance, RMS per pixel", "它的距离（每像素 RMS）"),
    "diffusion.memory.usual": ("of unseen pictures, on average", "未见过的图片的平均距离"),
    "diffusion.memory.known": ("training pictures", "训练图片数"),
    # three samplers
    "diffusion.samplers": ("Three ways down from one x<sub>T</sub>", "从同一个 x<sub>T</sub> 出发的三条路"),
    "diffusion.samplers.try": (
        "DDPM adds fresh noise at each step, DDIM none, DPM-Solver++ also looks at the step before. Change the number of steps: DDPM needs many, DDIM and the solver "
        "agree on one picture, the solver already with few. The wipe shows where two of them differ.",
        "DDPM 每步加入新的噪声，DDIM 不加，DPM-Solver++ 还参考上一步。改变步数：DDPM 需要很多步；DDIM 与求解器趋于同一张图片，求解器只需很少几步。拖动分界线，可看出两者的差别。",
    ),
    "diffusion.samplers.steps": ("Steps of each", "各自的步数"),
    "diffusion.samplers.pair": ("Compare", "比较"),
    "diffusion.samplers.wipe": ("Wipe", "分界线"),
    "diffusion.samplers.alt": ("The pictures predicted along the way: DDPM, DDIM and DPM-Solver++ below each other", "沿途预测的图片：自上而下为 DDPM、DDIM 和 DPM-Solver++"),
    "diffusion.samplers.calls": ("network calls", "网络调用"),
    "diffusion.samplers.seconds": ("seconds", "秒"),
    "diffusion.samplers.change": ("change at twice the steps (RMS)", "步数加倍后的变化 (RMS)"),
    "diffusion.samplers.wiped": ("left | right", "左 | 右"),
    "diffusion.samplers.difference": ("right − left, orange more, blue less, full colour at", "右 − 左，橙色偏多，蓝色偏少，最深处为"),
    # a start of one's own
    "diffusion.repair": ("From your scribble", "从您的涂鸦开始"),
    "diffusion.repair.try": (
        "Your picture is noised up to t₀, then the way back begins there (SDEdit, Meng et al. 2022). A weak start keeps your strokes, a strong one keeps hardly more "
        "than their place. Draw your picture in the view “Forward”, and choose a class above.",
        "您的图片被加噪到 t₀，再从那里往回走（SDEdit，Meng et al. 2022）。强度弱则保留您的笔画，强则几乎只保留位置。请在“正向”视图中画图，并在上方选择类别。",
    ),
    "diffusion.strength": ("Strength t₀ / T", "强度 t₀ / T"),
    "diffusion.scribble.alt": ("Your picture, its noised self, and four ways back", "您的图片、加噪后的样子，以及四条回来的路"),
    "diffusion.scribble.x_0": ("your picture", "您的图片"),
    "diffusion.scribble.x_t": ("noised up to t₀", "加噪到 t₀"),
    "diffusion.scribble.sample": ("way {i}", "第 {i} 条"),
    "diffusion.scribble.t": ("t₀", "t₀"),
    "diffusion.scribble.kept": ("√ᾱ, what is left of it", "√ᾱ，剩余的部分"),
    "diffusion.ms": ("ms", "毫秒"),
    "diffusion.hole": ("Fill the hole", "补全缺口"),
    "diffusion.hole.try": (
        "Paint over what you want to lose (without paint it is the lower half). Outside the hole the prediction x̂₀ is replaced by the known picture at every step; "
        "inside, the model makes up what fits. Choose another class above, and watch it find a way.",
        "涂掉您想去除的部分（不涂则为下半部分）。在缺口之外，每一步的预测 x̂₀ 都换成已知的图片；缺口之内由模型补上合适的内容。在上方换一个类别，看它如何设法补全。",
    ),
    "diffusion.hole.pad": ("A pad to paint the hole on", "用来涂出缺口的画板"),
    "diffusion.fill.alt": ("Your picture with the hole, and four ways to fill it", "带缺口的图片，以及四种补全"),
    "diffusion.fill.holed": ("what is known", "已知的部分"),
    "diffusion.fill.hidden": ("share that is hidden", "被隐去的比例"),
    "diffusion.fill.known": ("largest change outside the hole", "缺口外的最大改变"),
    "diffusion.f.ddim": (
        "**The step of DDIM** (Song et al. 2020, eq. 12): go to the picture as far as t − 1 allows, and keep that much of the very same noise. "
        "η = 0 adds none, η = 1 makes it DDPM with β̃<sub>t</sub>. (DPM-Solver++ is the first kind, with x̂₀ extrapolated from two steps.)",
        "**DDIM 的一步**（Song et al. 2020，式 12）：按 t − 1 所允许的程度走向图片，并保留相应份额的同一个噪声。"
        "η = 0 不加噪声，η = 1 就是取 β̃<sub>t</sub> 的 DDPM。（DPM-Solver++ 属于前者，只是用两步外推 x̂₀。）",
    ),
    # forward
    "diffusion.forward": ("Forward: add noise", "正向：加噪"),
    "diffusion.forward.try": (
        "Bring a picture, then drag t: it sinks into noise. Notice that its pixels' histogram becomes a bell curve long before the last step.",
        "先给一张图片，再拖动 t：它沉入噪声。注意像素直方图早在最后一步之前就已变成钟形曲线。",
    ),
    "diffusion.forward.alt": ("The picture, the noise, and both together at time t", "图片、噪声，以及时刻 t 时二者的混合"),
    "diffusion.forward.x_0": ("x₀, your picture", "x₀，您的图片"),
    "diffusion.forward.eps": ("ε, the noise: orange more, blue less", "噪声 ε：橙色为正，蓝色为负"),
    "diffusion.forward.x_t": ("x<sub>t</sub>, noised", "x<sub>t</sub>，加噪后"),
    "diffusion.forward.histogram": ("pixels of x<sub>t</sub>", "x<sub>t</sub> 的像素"),
    "diffusion.forward.normal": ("N(0, 1)", "N(0, 1)"),
    "diffusion.t": ("t, steps of noise", "t，加噪步数"),
    "diffusion.alpha_bar": ("ᾱ<sub>t</sub>, share of x₀’s variance left", "ᾱ<sub>t</sub>，x₀ 方差的剩余份额"),
    "diffusion.snr": ("signal to noise, dB", "信噪比，dB"),
    # forward: a picture of one's own
    "diffusion.forward.pad": ("A pad to draw a picture on", "用来画图的画板"),
    "diffusion.forward.or": ("Draw, or take an example; empty, it stands for a 3", "画一张，或选择示例；画板为空时用数字 3"),
    "diffusion.forward.upload": ("Upload a picture", "上传图片"),
    "diffusion.forward.own": ("One of the model's", "模型的样本"),
    "diffusion.forward.whole": ("the picture", "整张图片"),
    "diffusion.forward.pixel": ("its middle pixel", "它的中央像素"),
    "diffusion.forward.f.jump": (
        "**Any t in one jump** (Ho et al. 2020, eq. 4): the picture shrunk, plus noise, by two numbers whose squares add up to 1. "
        "No step before t is needed, and that is what makes training cheap.",
        "**一步跳到任意 t**（Ho et al. 2020，式 4）：缩小的图片加上噪声，两个系数的平方和为 1。不需要之前的任何一步，训练因此便宜。",
    ),
    # forward: the chain against the jump
    "diffusion.jump": ("One step at a time, or in one jump", "一步一步走，或一次跳到"),
    "diffusion.jump.try": (
        "Drag t. The chain walks there through every single step, with fresh noise each time; the jump is one line of arithmetic. The two pictures differ, "
        "for each drew its own noise. Notice that 64 of one kind and 64 of the other have the same mean, the same spread and the same histogram.",
        "拖动 t。链（chain）逐步走到那里，每一步都加新的噪声；跳跃只是一行算式。两张图片不同，因为各自抽取了自己的噪声。"
        "注意：各取 64 张，二者的均值、方差和直方图都相同。",
    ),
    "diffusion.jump.alt": ("One copy by the chain, one by the jump, and the mean of 64 of each", "链得到的一张、跳跃得到的一张，以及各 64 张的均值"),
    "diffusion.jump.one_chain": ("one, by the chain", "一张，逐步"),
    "diffusion.jump.one_jump": ("one, in a jump", "一张，跳跃"),
    "diffusion.jump.mean_chain": ("mean of 64, by the chain", "64 张的均值，逐步"),
    "diffusion.jump.mean_jump": ("mean of 64, in a jump", "64 张的均值，跳跃"),
    "diffusion.jump.walked": ("steps the chain has walked", "链已走的步数"),
    "diffusion.jump.variance_chain": ("variance among 64, chain", "64 张之间的方差，逐步"),
    "diffusion.jump.variance_jump": ("variance among 64, jump", "64 张之间的方差，跳跃"),
    "diffusion.jump.chain": ("by the chain", "逐步"),
    "diffusion.jump.jump": ("in one jump", "跳跃"),
    "diffusion.jump.histogram": ("All pixels of 64 noised pictures of each kind", "两种方式各 64 张加噪图片的全部像素"),
    "diffusion.jump.kept": ("share of x₀ in the mean: chain · jump · exact", "均值中 x₀ 的份额：逐步 · 跳跃 · 精确值"),
    "diffusion.jump.spread": ("variance: chain · jump · exact", "方差：逐步 · 跳跃 · 精确值"),
    "diffusion.jump.f.step": (
        "**One step of the chain** (Ho et al. 2020, eq. 2): a little smaller, a little noisier. Gaussians added to Gaussians stay Gaussians, "
        "so t of these steps together are the one jump above.",
        "**链的一步**（Ho et al. 2020，式 2）：缩小一点，多一点噪声。高斯加高斯仍是高斯，所以 t 步合起来就是上面的一次跳跃。",
    ),
    # forward: a schedule of one's own
    "diffusion.design": ("Design a noise schedule", "设计噪声方案"),
    "diffusion.design.try": (
        "Choose a schedule, drag T. Notice that “linear” has drowned the picture long before the end, so that its last steps teach nothing, while “cosine” "
        "spends its steps evenly; and that with few steps, each must add more. This designer changes no model: a network knows the schedule it was trained with.",
        "选择方案，拖动 T。注意：linear 早在终点之前就淹没了图片，最后的许多步学不到东西；cosine 的分配更均匀；步数越少，每步加的噪声越多。"
        "这里不会改变任何模型：网络只认得它训练时的方案。",
    ),
    "diffusion.design.alt": ("The picture at eight equal times under each of the three schedules, a row each", "三种方案下八个等距时刻的图片，每种一行"),
    "diffusion.design.beta": ("β<sub>t</sub>, the noise of one step (logarithmic)", "β<sub>t</sub>，每一步的噪声（对数轴）"),
    "diffusion.design.alpha_bar": ("ᾱ<sub>t</sub>, the share of x₀’s variance left", "ᾱ<sub>t</sub>，x₀ 方差的剩余份额"),
    "diffusion.design.snr": ("log-SNR, in dB", "对数信噪比 (log-SNR)，dB"),
    "diffusion.design.linear": ("linear", "linear 线性"),
    "diffusion.design.cosine": ("cosine", "cosine 余弦"),
    "diffusion.design.sigmoid": ("sigmoid", "sigmoid S 形"),
    "diffusion.design.chosen": ("the chosen one", "所选的方案"),
    "diffusion.design.row.linear": ("linear, at t = T/8, 2T/8, … T", "linear 线性，t = T/8、2T/8……T"),
    "diffusion.design.row.cosine": ("cosine, at the same times", "cosine 余弦，相同时刻"),
    "diffusion.design.row.sigmoid": ("sigmoid, at the same times", "sigmoid S 形，相同时刻"),
    "diffusion.design.snr_T": ("SNR at T, dB", "T 处的信噪比，dB"),
    "diffusion.design.crossing": ("t at SNR = 1: half is noise", "信噪比为 1 的 t：噪声占一半"),
    # the bound
    "diffusion.bound": ("Where the bound lives", "变分界主要来自哪里"),
    "diffusion.bound.try": (
        "The bound says how many bits per pixel the model needs to describe your picture exactly. Drag t along its terms: most bits are spent at the smallest t, "
        "the last steps back, where the noise is too faint to see. Draw something that is no digit, and watch the sum rise. Below, one prediction under its four names: the same "
        "picture, but not the same error.",
        "变分界（variational bound）说明：要精确描述您的图片，模型每个像素需要多少比特。沿着它的各项拖动 t：大部分比特都花在 t 最小处，即逆向的最后几步，那里的噪声肉眼已看不见。"
        "画一个不是数字的东西，看总和上升。下方是同一个预测的四种写法：图片相同，误差却不同。",
    ),
    "diffusion.bound.t": ("t, where you look", "t，观察的时刻"),
    "diffusion.bound.alt": ("The noisy picture, and the prediction as noise, as a picture, as v and as the score", "含噪图片，以及写成噪声、图片、v 和得分的预测"),
    "diffusion.bound.curve": ("L<sub>t−1</sub>, bits per dimension, over t (both axes logarithmic)", "L<sub>t−1</sub>（比特/维）随 t 的变化（两轴均为对数）"),
    "diffusion.bound.yours": ("your picture", "您的图片"),
    "diffusion.bound.held_out": ("test pictures, told their class", "测试图片（告知类别）"),
    "diffusion.bound.weights": (
        "What one unit of squared error counts in a squared error of ε, and what ε's counts in the bound, over t (both axes logarithmic)",
        "各写法的一单位平方误差折合成 ε 的平方误差是多少，以及 ε 的误差在变分界中的权重（两轴均为对数）"),
    "diffusion.bound.name.eps": ("ε", "ε"),
    "diffusion.bound.name.x_0": ("x₀", "x₀"),
    "diffusion.bound.name.v": ("v", "v"),
    "diffusion.bound.name.score": ("score", "得分 (score)"),
    "diffusion.bound.weight": ("the bound's weight on ε", "变分界对 ε 的权重"),
    "diffusion.bound.L_0": ("L₀, the last step, bits/dim", "L₀，最后一步，比特/维"),
    "diffusion.bound.between": ("L₁ + … + L<sub>T−1</sub>, estimated", "L₁ + …… + L<sub>T−1</sub>，估计值"),
    "diffusion.bound.total": ("all of it, bits/dim", "总和，比特/维"),
    "diffusion.bound.x_t": ("x<sub>t</sub>, your noised picture", "x<sub>t</sub>，加噪后的图片"),
    "diffusion.bound.said.eps": ("ε̂, the noise", "ε̂，噪声"),
    "diffusion.bound.said.x_0": ("x̂₀, the picture", "x̂₀，图片"),
    "diffusion.bound.said.v": ("v̂ = √ᾱ ε̂ − √(1−ᾱ) x̂₀", "v̂ = √ᾱ ε̂ − √(1−ᾱ) x̂₀"),
    "diffusion.bound.said.score": ("score = −ε̂ / √(1−ᾱ)", "得分 = −ε̂ / √(1−ᾱ)"),
    "diffusion.bound.error": ("squared error", "平方误差"),
    "diffusion.nats": ("nats", "奈特"),
    "diffusion.bound.bits": ("bits per dimension", "比特/维"),
    "diffusion.bound.here": ("here, per dimension", "此处，每维"),
    "diffusion.bound.everywhere": ("over all t, per dimension, estimated", "对所有 t，每维，估计值"),
    "diffusion.bound.f.sum": (
        "**The bound, term by term** (Ho et al. 2020, eqs. 3 and 5), in bits per dimension for your picture. L<sub>T</sub> has no parameters. The sum is an estimate: "
        "24 times are computed, with one noise, and the curve through them is added up.",
        "**变分界的各项**（Ho et al. 2020，式 3 与 5），对您的图片，单位比特/维。L<sub>T</sub> 不含参数。总和是估计值：用同一份噪声计算 24 个时刻，再沿曲线求和。",
    ),
    "diffusion.bound.f.weight": (
        "**Each term is a weighted error of the noise** (eq. 12); here σ<sub>t</sub>² = β̃<sub>t</sub>, so that C = 0. At t = 1 there is no weight: L₀ is a likelihood of its own.",
        "**每一项都是加权的噪声误差**（式 12）；这里 σ<sub>t</sub>² = β̃<sub>t</sub>，因此 C = 0。t = 1 时没有权重：L₀ 是单独的似然。",
    ),
    "diffusion.bound.f.simple": (
        "**Training drops the weight** (eq. 14): it is no longer the bound. Small t, whose noise nobody sees, count less, and pictures get better.",
        "**训练去掉了权重**（式 14）：它不再是变分界。噪声肉眼不可见的小 t 分量变轻，图片变得更好。",
    ),
    "diffusion.notes": ("Where the notes differ", "与笔记不同之处"),
    "diffusion.notes.text": (
        "The notes tell the story right; in a few lines the formulas slipped.\n\n"
        "- **β<sub>t</sub>** does not follow a normal distribution: it is a fixed schedule of numbers in (0, 1), the variances *of* normal distributions.\n"
        "- **What is predicted** is the whole noise between x₀ and x<sub>t</sub>, reached in one jump, not the noise of one step.\n"
        "- **The sign**: the sum of KL terms *is* L<sub>VLB</sub>, an upper bound on −log p(x₀), to be made small. L₀ is −log p(x₀ | x₁), a likelihood; L<sub>T</sub> is a constant.\n"
        "- **The weight** of the noise error holds σ<sub>t</sub>² once: β<sub>t</sub>² / (2 σ<sub>t</sub>² α<sub>t</sub> (1 − ᾱ<sub>t</sub>)). With ‖Σ‖² it would be 100 times too large at t = 500 of the linear schedule.\n"
        "- **Why the jump**: not for differentiability, which is the VAE's reason, but to reach any t at once.\n"
        "- **L<sub>simple</sub>** does not follow from the error of the means: that error *is* the weighted term. L<sub>simple</sub> drops the weight, and there is no + C.\n"
        "- **The posterior's mean** μ̃<sub>t</sub> depends on x<sub>t</sub> and on x₀; the first bracket of its derivation is the precision 1/β̃<sub>t</sub>, and the ε in it is the true noise.\n"
        "- **Directions**: forwards x<sub>t</sub> depends on x<sub>t−1</sub>, backwards x<sub>t−1</sub> on x<sub>t</sub>; the reverse is Gaussian only nearly, the better the smaller β<sub>t</sub>; "
        "and x<sub>t−1</sub> is *sampled*, with no noise at the last step.",
        "笔记的思路是对的，只是几行公式有小误。\n\n"
        "- **β<sub>t</sub>** 并不服从正态分布：它是 (0, 1) 中的一列固定数，是正态分布*的*方差。\n"
        "- **预测的对象**是从 x₀ 一次跳到 x<sub>t</sub> 之间的全部噪声，而不是某一步的噪声。\n"
        "- **符号**：各 KL 项之和*就是* L<sub>VLB</sub>，即 −log p(x₀) 的上界，要使它变小。L₀ 是 −log p(x₀ | x₁)，是似然；L<sub>T</sub> 是常数。\n"
        "- **权重**中 σ<sub>t</sub>² 只出现一次：β<sub>t</sub>² / (2 σ<sub>t</sub>² α<sub>t</sub> (1 − ᾱ<sub>t</sub>))。若写成 ‖Σ‖²，在线性方案的 t = 500 处会大 100 倍。\n"
        "- **为何要跳**：不是为了可微（那是 VAE 的理由），而是为了一次到达任意 t。\n"
        "- **L<sub>simple</sub>** 并非由均值的误差推出：均值的误差*就是*加权项。L<sub>simple</sub> 去掉了权重，也没有 + C。\n"
        "- **后验均值** μ̃<sub>t</sub> 依赖 x<sub>t</sub> 和 x₀；推导中的第一个括号是精度 1/β̃<sub>t</sub>，其中的 ε 是真实噪声。\n"
        "- **方向**：正向 x<sub>t</sub> 依赖 x<sub>t−1</sub>，逆向 x<sub>t−1</sub> 依赖 x<sub>t</sub>；逆向只是近似高斯，β<sub>t</sub> 越小越准；x<sub>t−1</sub> 是*采样*得到的，最后一步不加噪声。",
    ),
    # one training step
    "diffusion.step": ("One training step, by buttons", "一步训练，用按钮完成"),
    "diffusion.step.try": (
        "Press the buttons in turn: this is all that training does, thousands of times over, each time with other pictures. 2 and 3 pressed again draw anew. Then press 6 "
        "several times: a copy of the model learns this one example, and its error falls. Notice how little the weights move for it.",
        "依次按下按钮：训练做的就是这些，只是重复成千上万次，每次换一批图片。再按 2 或 3 会重新抽取。然后多按几次 6：模型的一个副本学习这一个例子，误差随之下降。"
        "注意权重只移动了很小一点。",
    ),
    "diffusion.step.alt": ("The picture, the noise, both together, the predicted noise, the true and the predicted mean, and the squared error", "图片、噪声、二者的混合、预测的噪声、真实与预测的均值，以及平方误差"),
    "diffusion.step.do.x_0": ("1 · take x₀", "1 · 取 x₀"),
    "diffusion.step.do.t": ("2 · draw t", "2 · 抽取 t"),
    "diffusion.step.do.eps": ("3 · draw ε", "3 · 抽取 ε"),
    "diffusion.step.do.x_t": ("4 · make xₜ", "4 · 合成 xₜ"),
    "diffusion.step.do.predict": ("5 · predict", "5 · 预测"),
    "diffusion.step.do.update": ("6 · update θ", "6 · 更新 θ"),
    "diffusion.step.x_0": ("x₀, your picture", "x₀，您的图片"),
    "diffusion.step.eps": ("ε ~ N(0, I)", "ε ~ N(0, I)"),
    "diffusion.step.x_t": ("x<sub>t</sub>, both together", "x<sub>t</sub>，二者混合"),
    "diffusion.step.said": ("ε<sub>θ</sub>(x<sub>t</sub>, t), predicted", "ε<sub>θ</sub>(x<sub>t</sub>, t)，预测"),
    "diffusion.step.mean": ("μ̃(x<sub>t</sub>, x₀), true mean", "μ̃(x<sub>t</sub>, x₀)，真实均值"),
    "diffusion.step.mean_said": ("μ<sub>θ</sub>(x<sub>t</sub>, t), predicted", "μ<sub>θ</sub>(x<sub>t</sub>, t)，预测"),
    "diffusion.step.error": ("(ε − ε<sub>θ</sub>)², the error", "(ε − ε<sub>θ</sub>)²，误差"),
    "diffusion.step.t": ("t, drawn from 1 … T", "t，从 1 … T 抽取"),
    "diffusion.step.simple": ("‖ε − ε<sub>θ</sub>‖² per dimension", "‖ε − ε<sub>θ</sub>‖²，每维"),
    "diffusion.step.weighted": ("L<sub>t−1</sub>, bits per dimension", "L<sub>t−1</sub>，比特/维"),
    "diffusion.step.falls": ("The error on this example after each update", "每次更新后此例的误差"),
    "diffusion.step.updates": ("updates", "更新次数"),
    "diffusion.step.from": ("error", "误差"),
    "diffusion.step.reset": ("Back to the trained weights", "恢复训练好的权重"),
    "diffusion.step.f": (
        "**The update** (Ho et al. 2020, algorithm 1): down the gradient of this example's squared error, by Adam. It is real, and made on a copy: the model above stays as it is.",
        "**更新**（Ho et al. 2020，算法 1）：用 Adam 沿此例平方误差的梯度下降。这是真实的更新，但作用于副本：上方的模型保持不变。",
    ),
    # what a training is made of
    "diffusion.knob.schedule": ("Noise schedule", "噪声方案 (schedule)"),
    "diffusion.knob.prediction": ("The network predicts", "网络预测"),
    "diffusion.knob.T": ("Steps T", "步数 T"),
    "diffusion.knob.lr": ("Learning rate", "学习率 (learning rate)"),
    "diffusion.knob.batch_size": ("Pictures per update", "每次更新的图片数"),
    "diffusion.knob.drop": ("Share of classes withheld", "隐去类别的比例"),
    # in two dimensions
    "diffusion.plane": ("In two dimensions, trained in seconds", "二维平面：几秒钟训练完成"),
    "diffusion.plane.try": (
        "Press Train and watch: a small network learns to denoise points, and the orange samples gather where the blue data are. "
        "<b>Noise is at t = T, on the right; data at t = 0, on the left.</b> Training never walks the chain: each update draws its own t at "
        "random. Sampling walks it from right to left: drag t that way and follow the paths. Notice that at every t the two clouds agree.",
        "点击“训练”并观察：一个小网络学习为平面上的点去噪，橙色样本聚向蓝色数据。<b>噪声在右端 t = T，数据在左端 t = 0。</b>"
        "训练从不沿着链走：每次更新随机抽取各自的 t；采样则沿着链从右走到左：请这样拖动 t，并跟随轨迹。注意：在每个 t，两团点都相吻合。",
    ),
    "diffusion.plane.alt": (
        "The plane: data noised to time t, the model's samples at time t with their paths from pure noise, and arrows of the learnt and the exact score",
        "平面：加噪到时刻 t 的数据，模型在时刻 t 的样本及其从纯噪声出发的轨迹，以及学到的得分与精确得分的箭头",
    ),
    "diffusion.plane.set": ("Density of the data", "数据的密度"),
    "diffusion.plane.set.ring": ("Ring", "环"),
    "diffusion.plane.set.gaussians": ("Two Gaussians", "两个高斯"),
    "diffusion.plane.set.moons": ("Moons", "双月"),
    "diffusion.plane.set.spirals": ("Spirals", "螺旋"),
    "diffusion.plane.set.checkerboard": ("Checkerboard", "棋盘"),
    "diffusion.plane.t": ("t, time", "t，时刻"),
    "diffusion.plane.left": ("data, t = 0", "数据，t = 0"),
    "diffusion.plane.right": ("noise, t = T", "噪声，t = T"),
    "diffusion.plane.step": ("updates", "更新次数"),
    "diffusion.plane.error": ("score error at t", "时刻 t 的得分误差"),
    "diffusion.plane.share": ("of the final samples within 3σ of a mode", "最终样本位于某个峰的 3σ 内"),
    "diffusion.plane.errors": ("error of the learnt score, RMSE by t", "学到的得分的误差，随 t 的 RMSE"),
    "diffusion.plane.sizes": ("size of the exact score", "精确得分的大小"),
    "diffusion.plane.known": (
        "Ring and two Gaussians are mixtures of Gaussians: their score is known exactly at every t, and 99 % of the data lie within 3σ of a mode. "
        "The other densities have no closed form here, so only what was learnt is shown. Far from the data the arrows may differ: "
        "training never asked there.",
        "环和两个高斯都是高斯混合：任何时刻的得分都精确已知，且 99 % 的数据位于某个峰的 3σ 内。其余密度在此没有闭式解，只显示学到的部分。"
        "远离数据处箭头可能不一致：训练从未在那里提问。",
    ),
    "diffusion.plane.data": ("data, noised to t", "数据，加噪到 t"),
    "diffusion.plane.samples": ("samples at t", "时刻 t 的样本"),
    "diffusion.plane.paths": ("their paths from T", "它们从 T 出发的轨迹"),
    "diffusion.plane.learnt": ("learnt score", "学到的得分 (score)"),
    "diffusion.plane.exact": ("exact score", "精确得分"),
    "diffusion.plane.loss": ("What is trained: v, of noise and data; it learns sooner here than the noise alone",
                             "训练的目标是 v，由噪声与数据组成；在此它比单独的噪声学得更快"),
    "diffusion.plane.says": ("It gives the noise, and with it the learnt score", "由它得到噪声，也就得到学到的得分"),
    "diffusion.plane.batch": ("loss of the last batch:", "最近一批的损失："),
    "diffusion.plane.score": ("The exact score of a mixture: towards each mode, as much as it explains x<sub>t</sub>", "混合分布的精确得分：指向每个峰，按它对 x<sub>t</sub> 的解释程度加权"),
    # in one dimension
    "diffusion.line": ("One dimension, exactly", "一维情形，精确计算"),
    "diffusion.line.try": (
        "Drag β, the noise of one step. The posterior is what prior and likelihood agree on, narrower than both. Without x₀ the true "
        "step back has two peaks when β is large. Notice how it becomes a Gaussian as β shrinks: that is why a chain takes many small steps.",
        "拖动 β，即一步的噪声。后验是先验与似然的共识，比两者都窄。不知道 x₀ 时，若 β 较大，真实的反向一步有两个峰。"
        "注意 β 变小时它如何变成高斯：这正是扩散链要走许多小步的原因。",
    ),
    "diffusion.line.beta": ("βₜ, noise of this step", "βₜ，这一步的噪声"),
    "diffusion.line.ab": ("ᾱₜ₋₁, share of x₀’s variance left before it", "ᾱₜ₋₁，此步之前 x₀ 方差的剩余份额"),
    "diffusion.line.xt": ("xₜ, the noisy number", "xₜ，含噪的数"),
    "diffusion.line.x0": ("x₀, the clean number", "x₀，干净的数"),
    "diffusion.line.bayes": ("Prior × likelihood ∝ posterior", "先验 × 似然 ∝ 后验"),
    "diffusion.line.bayes.alt": ("Densities over x<sub>t−1</sub>: prior, likelihood and posterior", "关于 x<sub>t−1</sub> 的密度：先验、似然与后验"),
    "diffusion.line.prior": ("prior q(x<sub>t−1</sub> | x₀)", "先验 (prior) q(x<sub>t−1</sub> | x₀)"),
    "diffusion.line.likelihood": ("likelihood q(x<sub>t</sub> | x<sub>t−1</sub>)", "似然 (likelihood) q(x<sub>t</sub> | x<sub>t−1</sub>)"),
    "diffusion.line.posterior": ("posterior q(x<sub>t−1</sub> | x<sub>t</sub>, x₀)", "后验 (posterior) q(x<sub>t−1</sub> | x<sub>t</sub>, x₀)"),
    "diffusion.line.mean": ("μ̃<sub>t</sub>, its mean", "μ̃<sub>t</sub>，后验均值"),
    "diffusion.line.variance": ("β̃<sub>t</sub>, its variance", "β̃<sub>t</sub>，后验方差"),
    "diffusion.line.reverse": ("The true step back is no Gaussian …", "真实的反向一步不是高斯……"),
    "diffusion.line.reverse.alt": ("Density of the exact reverse step of data with two peaks, and of the Gaussian with its mean and variance", "双峰数据的精确反向一步的密度，以及均值与方差相同的高斯"),
    "diffusion.line.true": ("exact q(x<sub>t−1</sub> | x<sub>t</sub>), data at ±1", "精确的 q(x<sub>t−1</sub> | x<sub>t</sub>)，数据在 ±1"),
    "diffusion.line.matched": ("Gaussian with its mean and variance", "均值与方差相同的高斯"),
    "diffusion.line.kl": ("KL from the exact step to the Gaussian, nats", "从精确一步到高斯的 KL，奈特"),
    "diffusion.line.small": ("… but nearly so for small β", "……但 β 小时几乎就是"),
    "diffusion.line.kls": ("KL against β, both axes logarithmic, nats", "KL 随 β 的变化，双对数坐标，奈特"),
    "diffusion.line.kls.alt": ("Curve of the KL against beta, with the current beta marked", "KL 随 β 变化的曲线，标出当前的 β"),
    "diffusion.line.why": (
        "The network's step p<sub>θ</sub> is a Gaussian. It can only be right where the true step is one.",
        "网络的一步 p<sub>θ</sub> 是高斯。只有真实的一步也是高斯时，它才可能正确。",
    ),
    "diffusion.line.D3.mean": ("Mean of the posterior", "后验的均值"),
    "diffusion.line.D3.variance": ("Variance of the posterior", "后验的方差"),
}
