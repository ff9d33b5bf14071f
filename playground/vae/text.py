"""Visible strings of the VAE tab, key -> (English, Chinese)."""

TEXT = {
    "vae.tab": ("VAE", "变分自编码器"),
    # its row of the overview
    "vae.overview.what": ("The codes get a law, N(0, I), and every picture a bound on how likely it is.", "编码有了分布 N(0, I)，每张图片都有了似然的下界。"),
    "vae.overview.encode": ("yes: a Gaussian", "能：一个高斯分布"),
    "vae.overview.sample": ("yes, in one step", "能，一步完成"),
    "vae.overview.likelihood": ("a bound: −log p ≤ {likelihood} nats", "有下界：−log p ≤ {likelihood} 奈特"),
    "vae.overview.next": (
        "Where it is unsure it averages, and averages are blurred. So let a second network say what looks real:",
        "拿不准时它取平均，而平均是模糊的。于是让第二个网络来判断什么像真的：",
    ),
    "vae.try": (
        "A variational autoencoder squeezes a picture into a few numbers, its code z, and paints it back. Drag a slider: it moves "
        "one of these numbers. Notice that the places between two pictures hold pictures too, because training keeps all codes "
        "close to one bell curve, the prior.",
        "变分自编码器（variational autoencoder）把一张图片压缩成几个数，即编码 z，再由它画回图片。拖动一个滑块，就改变其中一个数。"
        "注意：两张图片之间的地方也是图片，因为训练让所有编码都靠近同一条钟形曲线，即先验分布（prior）。",
    ),
    # the structure figure
    "vae.x": ("your picture x", "您的图片 x"),
    "vae.encoder": ("Encoder", "编码器"),
    "vae.code": ("μ ± σ, its code", "编码 μ ± σ"),
    "vae.z": ("z, on the sliders", "滑块上的 z"),
    "vae.decoder": ("Decoder", "解码器"),
    "vae.x_hat": ("decoded, E[x | z]", "解码结果 E[x | z]"),
    "vae.figure": ("The VAE's structure with the current data on each edge", "VAE 的结构，每条边上是当前的数据"),
    # sliders and picture
    "vae.slide": ("Walk the latent space", "在隐空间中漫游"),
    "vae.more": ("More dimensions (they carry less)", "更多维度（携带的信息更少）"),
    "vae.foresight": (
        "Under each slider, what it would give at −3, −2, … 3 with the others where they are now",
        "每个滑块下方：其余滑块不动时，它取 −3、−2……3 所得到的结果",
    ),
    "vae.prior": ("Sample the prior", "从先验中采样"),
    "vae.zero": ("Back to zero", "全部归零"),
    "vae.decoded": ("The picture decoded from the sliders' code", "由滑块上的编码解码出的图片"),
    "vae.log_prior": ("log p(z), nats", "log p(z)，奈特"),
    "vae.norm": ("‖z‖, typically √D", "‖z‖，典型值为 √D"),
    "vae.ms": ("ms to decode", "解码耗时（毫秒）"),
    "vae.bars": (
        "What each number of z carries: KL per dimension in nats, over held-out pictures. Grey: below 0.01 nats, a dead dimension, which changes nothing.",
        "z 的每个分量携带多少信息：在留出的测试图片上，每一维的 KL（奈特）。灰色：低于 0.01 奈特，即失活的维度，移动它不会改变图片。",
    ),
    # the prior
    "vae.strip": ("Sixteen samples from the prior", "来自先验的十六个样本"),
    "vae.strip.try": (
        "z ~ N(0, I), decoded. Another seed gives sixteen others; the button above takes the next seed and its first sample. "
        "Click one to put it on the sliders.",
        "z ~ N(0, I)，再解码。换一个种子得到另外十六个；上方的按钮换到下一个种子并取其第一个样本。点击其中一个即可放到滑块上。",
    ),
    "vae.temperature": ("Temperature: z ~ N(0, T² I)", "温度 T：z ~ N(0, T² I)"),
    "vae.strip.alt": ("Sixteen pictures decoded from samples of the prior", "由先验采样解码出的十六张图片"),
    "vae.strip.pick": ("Sample {i} of {n}: put it on the sliders", "第 {i} 个样本，共 {n} 个：放到滑块上"),
    # two paths
    "vae.paths": ("Two paths from A to B", "从 A 到 B 的两条路"),
    "vae.paths.try": (
        "Keep two codes and walk from one to the other: above along the straight line, below along the great circle. In many "
        "dimensions almost all of the prior lies on a shell of radius √D; notice that the straight line cuts through its hollow inside.",
        "保存两个编码，从一个走到另一个：上排沿直线，下排沿大圆。在高维中，先验几乎全部集中在半径 √D 的球壳上；注意直线会穿过它空心的内部。",
    ),
    "vae.keep.a": ("Keep the sliders' code as A", "把滑块上的编码存为 A"),
    "vae.keep.b": ("… as B", "……存为 B"),
    "vae.gif": ("Save both as a GIF", "存为 GIF"),
    "vae.paths.alt": ("Eleven decodes along the straight line above, eleven along the great circle below", "上排是沿直线的十一个解码结果，下排是沿大圆的十一个"),
    "vae.paths.straight": ("‖z‖ along the straight line", "直线上的 ‖z‖"),
    "vae.paths.round": ("‖z‖ along the great circle", "大圆上的 ‖z‖"),
    "vae.paths.least.straight": ("smallest ‖z‖, straight", "直线上最小的 ‖z‖"),
    "vae.paths.least.round": ("smallest ‖z‖, round", "大圆上最小的 ‖z‖"),
    "vae.paths.typical": ("√D, the shell", "√D，球壳半径"),
    # your own picture
    "vae.own": ("Your own picture", "您自己的图片"),
    "vae.own.try": (
        "Draw a digit, or bring a picture: the encoder answers with a whole distribution, the sliders jump to its mean. "
        "Then show it something it has never seen, and watch the reconstruction insist that it is what the model knows.",
        "画一个数字，或上传一张图片：编码器给出一整个分布，滑块跳到它的均值。再给它看从未见过的东西，看看重建结果如何硬把它变成模型熟悉的样子。",
    ),
    "vae.pad": ("A pad to draw a digit on", "用来画数字的画板"),
    "vae.example": ("or pick an example", "或选择一个示例"),
    "vae.example.made": (
        "What the model makes of ten pictures it was not trained on; picking one encodes what is shown here, not the picture behind it.",
        "模型对十张未参与训练的图片的重建；选中一张，编码的是这里显示的结果，而不是背后的原图。",
    ),
    "vae.example.alt": ("Ten pictures to pick from", "十张可选的示例图片"),
    "vae.example.pick": ("Example {i} of 0 to {n}: encode it", "示例 {i}（0 至 {n}）：将其编码"),
    "vae.upload": ("or bring a picture", "或上传一张图片"),
    "vae.seen": ("x, as the encoder sees it", "编码器看到的 x"),
    "vae.restored": ("x̂, decoded from μ", "由 μ 解码出的 x̂"),
    "vae.difference": ("x̂ − x: orange more, blue less", "x̂ − x：橙色偏多，蓝色偏少"),
    "vae.tightening": (
        "L<sub>K</sub> of your picture as K grows: from the lower bound towards log p(x)",
        "您的图片的 L<sub>K</sub> 随 K 增大：从下界逼近 log p(x)",
    ),
    "vae.encoded": ("Your picture beside its reconstruction", "您的图片和它的重建"),
    "vae.log_likelihood": ("E<sub>q</sub> log p(x | z), nats", "E<sub>q</sub> log p(x | z)，奈特"),
    "vae.kl": ("KL(q ‖ p), nats", "KL(q ‖ p)，奈特"),
    "vae.elbo": ("L<sub>b</sub>, the lower bound", "L<sub>b</sub>，下界"),
    # what a training is made of
    "vae.knob.latent": ("Latent dimensions D", "隐变量维数 D"),
    "vae.knob.beta": ("β, weight of the KL", "β，KL 的权重"),
    "vae.knob.lr": ("Learning rate", "学习率 (learning rate)"),
    "vae.knob.batch_size": ("Pictures per update", "每次更新的图片数"),
    "vae.knob.network": ("Network", "网络结构"),
    "vae.knob.likelihood": ("Pixels given z: p(x | z)", "给定 z 的像素：p(x | z)"),
    # the manifold sheet
    "vae.sheet": ("The whole latent space on one sheet", "一张纸上的整个隐空间"),
    "vae.sheet.try": (
        "A model whose code has only two numbers can be laid out flat. Drag over the sheet, or over the plane beside it: the picture under the "
        "cursor is decoded large. Notice that neighbours resemble each other, and that the classes lie in regions with no empty land between them.",
        "编码只有两个数的模型可以平铺开来。在左边的图上或旁边的平面上拖动：光标处的图片会放大解码。注意：相邻的图片彼此相似，各类图片连成片，中间没有空地。",
    ),
    "vae.sheet.alt": ("400 decodes of the latent plane; drag, or use the arrow keys", "隐平面上的 400 个解码结果；可拖动或使用方向键"),
    "vae.sheet.laid": (
        "20 × 20 decodes; each column and each row holds the same share of the prior, so the outer ones reach further.",
        "20 × 20 个解码结果；每一列、每一行占先验的同样份额，所以外侧的间隔更大。",
    ),
    "vae.sheet.plane.alt": ("Codes of test pictures in the latent plane, by class, with circles of the prior; drag, or use the arrow keys", "隐平面上测试图片的编码（按类别），以及先验的圆；可拖动或使用方向键"),
    "vae.sheet.circles": ("1, 2 and 3 σ of the prior", "先验的 1、2、3 σ"),
    "vae.sheet.codes": ("codes μ of test pictures, by class", "测试图片的编码 μ，按类别"),
    "vae.sheet.place": ("The picture decoded at the cursor", "光标处解码出的图片"),
    "vae.sheet.z": ("z at the cursor", "光标处的 z"),
    "vae.sheet.norm": ("‖z‖", "‖z‖"),
    "vae.sheet.stands_in": (
        "stands in for the chosen model here, whose code is not of two dimensions: only such a code can be laid out flat.",
        "在此代替所选模型：后者的编码不是二维的，而只有二维编码才能平铺开来。",
    ),
    "vae.sheet.f": (
        "**Where the pictures stand**: at equal shares of the standard normal (Kingma & Welling 2014, figure 4), and how usual the cursor's place is, in nats:",
        "**图片的位置**：按标准正态的等分位点排列（Kingma & Welling 2014，图 4）；以及光标处在先验下有多常见，单位奈特：",
    ),
    # from a picture to a picture in four steps
    "vae.stepper": ("One pass in four steps", "一次前向，分四步"),
    "vae.stepper.try": (
        "Take your picture through the model step by step, then draw ε again and again: the encoder's answer stays, only the noise moves. "
        "This is the reparameterisation: chance comes in from outside, so gradients pass through μ and σ.",
        "让您的图片一步步通过模型，然后反复重抽 ε：编码器的答案不变，变的只有噪声。这就是重参数化（reparameterisation）：随机性来自外部，梯度因而能穿过 μ 和 σ。",
    ),
    "vae.stepper.step": ("Step", "步骤"),
    "vae.stepper.encode": ("1 Encode", "1 编码"),
    "vae.stepper.draw": ("2 Draw ε", "2 抽取 ε"),
    "vae.stepper.move": ("3 z = μ + σ ⊙ ε", "3 z = μ + σ ⊙ ε"),
    "vae.stepper.decode": ("4 Decode", "4 解码"),
    "vae.stepper.again": ("Draw ε again", "重新抽取 ε"),
    "vae.stepper.alt": ("Your picture, and what this z decodes to", "您的图片，以及这个 z 的解码结果"),
    "vae.stepper.out": ("decoded from z", "由 z 解码"),
    "vae.stepper.plane": ("The code's two strongest dimensions: q's ellipse, the noise as an arrow, z at its tip", "编码最强的两维：q 的椭圆，噪声为箭头，其尖端是 z"),
    "vae.stepper.q": ("q(z | x): μ and one σ", "q(z | x)：μ 与一个 σ"),
    "vae.stepper.arrow": ("σ ⊙ ε", "σ ⊙ ε"),
    "vae.stepper.z": ("z, in its two strongest dimensions", "z（最强的两维）"),
    "vae.stepper.bars.mu": ("1: μ ± σ", "1: μ ± σ"),
    "vae.stepper.bars.eps": ("2: ε ~ N(0, I)", "2: ε ~ N(0, I)"),
    "vae.stepper.bars.z": ("3: z = μ + σ ⊙ ε", "3: z = μ + σ ⊙ ε"),
    "vae.stepper.log_likelihood": ("log p(x | z) of this z, nats", "此 z 的 log p(x | z)，奈特"),
    "vae.stepper.estimate": ("their difference: L<sub>b</sub> from one draw", "两者之差：单次抽样的 L<sub>b</sub>"),
    "vae.stepper.f": (
        "**The reparameterisation** (Kingma & Welling 2014, section 2.4), for the strongest dimension of this code:",
        "**重参数化**（Kingma & Welling 2014，2.4 节），以该编码最强的一维为例：",
    ),
    "vae.posterior": ("What the encoder misses", "编码器错过了什么"),
    "vae.posterior.try": (
        "With two dimensions the true posterior p(z | x) of your picture can be computed (blue). Drag the encoder's Gaussian q (orange) over it and change "
        "its width: the bound rises towards log p(x) exactly as the gap falls, and their sum never moves.",
        "在二维中可以算出您的图片的真实后验 p(z | x)（蓝色）。把编码器的高斯分布 q（橙色）拖到它上面并改变宽度：下界升向 log p(x)，差距恰好随之缩小，两者之和始终不变。",
    ),
    "vae.posterior.stands_in": (
        "stands in for the chosen model here, whose code is not of two dimensions; if your picture is not of its kind, it looks at the drawing on the pad.",
        "在此代替所选模型：后者的编码不是二维的；若您的图片与它不同类，它看的是画板上的图画。",
    ),
    "vae.posterior.alt": ("The true posterior in blue, q's ellipses at one and two sigma in orange; drag, or use the arrow keys", "蓝色为真实后验，橙色为 q 在一倍和两倍 σ 处的椭圆；可拖动或使用方向键"),
    "vae.posterior.true": ("p(z | x), the true posterior", "p(z | x)，真实后验"),
    "vae.posterior.q": ("q(z), one and two σ", "q(z) 的一倍和两倍 σ"),
    "vae.posterior.gap": ("KL(q ‖ p(z | x)), the gap", "KL(q ‖ p(z | x))，差距"),
    "vae.posterior.log_p": ("log p(x), nats", "log p(x)，奈特"),
    "vae.posterior.m1": ("Move q along z1", "沿 z1 移动 q"),
    "vae.posterior.m2": ("Move q along z2", "沿 z2 移动 q"),
    "vae.posterior.s1": ("Widen q along z1, log2", "沿 z1 展宽 q（log2）"),
    "vae.posterior.s2": ("Widen q along z2, log2", "沿 z2 展宽 q（log2）"),
    "vae.posterior.back": ("The encoder's q", "编码器的 q"),
    "vae.posterior.best": ("The best q there is", "最好的 q"),
    "vae.posterior.f": (
        "**The derivation in three numbers** (Kingma & Welling 2014, eqs. 1–3), by quadrature over the plane, in nats:",
        "**推导中的三个数**（Kingma & Welling 2014，式 1–3），在平面上求积得到，单位奈特：",
    ),
    # arithmetic and palette
    "vae.arithmetic": ("Adding a property", "加上一种属性"),
    "vae.arithmetic.try": (
        "A property is a direction: the mean code of the pictures that have it, minus the mean of the others. Choose one and drag the amount: "
        "the sliders' picture becomes thicker, leans over, or turns into one of another class.",
        "一种属性就是一个方向：具有该属性的图片的平均编码，减去其余的平均编码。选一种并拖动数量：滑块上的图片会变粗、倾斜，或变成另一类。",
    ),
    "vae.arithmetic.trait": ("Property", "属性"),
    "vae.arithmetic.thicker": ("thicker", "更粗"),
    "vae.arithmetic.slanted": ("slanted to the right", "向右倾斜"),
    "vae.arithmetic.amount": ("Amount a", "数量 a"),
    "vae.arithmetic.put": ("Put it on the sliders", "放到滑块上"),
    "vae.arithmetic.alt": ("The sliders' picture, and the same with the property added", "滑块上的图片，以及加上属性之后的结果"),
    "vae.arithmetic.before": ("z", "z"),
    "vae.arithmetic.after": ("z + a v", "z + a v"),
    "vae.arithmetic.judge": ("an independent classifier of digits says", "独立的数字分类器的判断"),
    "vae.arithmetic.change": ("the property, before → after", "该属性：之前 → 之后"),
    "vae.arithmetic.accuracy": ("of unseen pictures told apart by v", "v 在未见图片上的区分正确率"),
    "vae.arithmetic.f": (
        "**Directions from the data's own labels and shapes** (White 2016, section 3): thickness is the mean ink, slant the lean of the second moments.",
        "**方向来自数据自身的标签与形状**（White 2016，第 3 节）：粗细是平均墨量，倾斜由二阶矩得到。",
    ),
    "vae.palette": ("A palette with four corners", "四角调色板"),
    "vae.palette.try": (
        "Each corner holds a code: a draw of the seed, or one you keep there. Drag inside the square: the code is a blend of the four. Notice that a picture turns into another instead of fading into it.",
        "每个角存放一个编码：由种子抽取，或由您保存。在方块内拖动：编码是四者的混合。注意：一张图片是变成另一张，而不是淡入另一张。",
    ),
    "vae.palette.alt": ("Forty-nine decodes between the four corners; drag, or use the arrow keys", "四角之间的四十九个解码结果；可拖动或使用方向键"),
    "vae.palette.blend": ("The picture decoded from the blend", "由混合编码解码出的图片"),
    "vae.palette.top-left": ("Keep top left", "存到左上"),
    "vae.palette.top-right": ("… top right", "……右上"),
    "vae.palette.bottom-left": ("… bottom left", "……左下"),
    "vae.palette.bottom-right": ("… bottom right", "……右下"),
    "vae.palette.x": ("u, to the right", "u，向右"),
    "vae.palette.y": ("v, upwards", "v，向上"),
    "vae.palette.f": ("**The blend** is bilinear in the corners' codes:", "**混合**对四角的编码是双线性的："),
    # beta
    "vae.rate": ("What β buys", "β 换来了什么"),
    "vae.rate.try": (
        "Six models of digits, whichever is chosen at the top, alike but for β, the weight of the KL in their training. Slide β up: the code gets cheaper, your digit turns into an average one, "
        "and one dimension after another falls silent. Notice which end draws the better digits from the prior, and which restores yours better.",
        "六个数字模型（与顶部的选择无关），除 β（训练中 KL 的权重）外完全相同。把 β 调大：编码变便宜，您的数字变成平均的样子，维度一个接一个沉默。注意：哪一端从先验画出的数字更好，哪一端对您的数字还原得更好。",
    ),
    "vae.rate.slider": ("log₂ β of the model", "模型的 log₂ β"),
    "vae.rate.restored": ("x̂, by this model", "该模型解码出的 x̂"),
    "vae.rate.alt": ("Your digit beside its reconstruction by the chosen model", "您的数字和所选模型对它的重建"),
    "vae.rate.all": ("Your digit as each of the six models restores it", "六个模型各自对您的数字的重建"),
    "vae.rate.prior": ("Sixteen digits that the chosen model draws from the prior", "所选模型由先验画出的十六个数字"),
    "vae.rate.rate": ("R, rate: KL, nats", "码率 R：KL，奈特"),
    "vae.rate.distortion": ("D, distortion, nats", "失真 D，奈特"),
    "vae.rate.active": ("dimensions in use", "在用的维数"),
    "vae.rate.collapse": (
        "dimensions have collapsed: there q(z | x) is the prior itself, below 0.01 nats, whatever x is; they tell the decoder nothing (posterior collapse).",
        "个维度已坍缩：在这些维度上，无论 x 是什么，q(z | x) 都就是先验（低于 0.01 奈特），它们不向解码器传递任何信息，即后验坍缩（posterior collapse）。",
    ),
    "vae.rate.curve": ("D against R, one point for each β", "D 对 R，每个 β 一个点"),
    "vae.rate.curve.alt": ("Distortion against rate for the six models, the chosen one marked", "六个模型的失真对码率，所选模型已标出"),
    "vae.rate.axes": (
        "Across R, up D, in nats per test digit. Along the dashed line D + β R stays the same: this β is paid back where the curve touches it.",
        "横轴 R，纵轴 D，单位奈特每个测试数字。沿虚线 D + β R 不变：曲线与它相切之处，正是这个 β 的最优点。",
    ),
    "vae.rate.draws": (
        "z ~ N(0, I), decoded by this model; Fréchet distance of such draws from the test digits (smaller is better):",
        "z ~ N(0, I)，由该模型解码；这样的样本与测试数字的 Fréchet 距离（越小越好）：",
    ),
    "vae.rate.f": (
        "**The loss of a β-VAE** (Higgins et al. 2017, eq. 4), as a price β on the rate (Alemi et al. 2018), in nats per picture: β = 1 is the bound.",
        "**β-VAE 的损失**（Higgins et al. 2017，式 4），可看作给码率定价 β（Alemi et al. 2018），单位奈特每图：β = 1 就是下界。",
    ),
    # formulas
    "vae.formulas": ("The formulas, with the numbers of this moment", "公式与此刻的数字"),
    "vae.f.sample": (
        "**The code of a picture is a distribution**, and a draw from it is the encoder's output plus scaled noise "
        "(Kingma & Welling 2014, section 2.4). The ε here is the one that leads from your picture to the sliders:",
        "**一张图片的编码是一个分布**，从中采样等于编码器的输出加上缩放后的噪声（Kingma & Welling 2014，2.4 节）。这里的 ε 是从您的图片走到滑块所需的那一个：",
    ),
    "vae.f.bound": (
        "**The bound that training raises** (eq. 3), in nats: how well the picture is told from its code, minus what the code "
        "costs. They pull against each other.",
        "**训练所提升的下界**（式 3），单位奈特：由编码还原图片的好坏，减去编码的代价。两者相互制衡。",
    ),
    "vae.f.kl": (
        "**What the code costs** (appendix B), in nats, summed over the dimensions:",
        "**编码的代价**（附录 B），单位奈特，对各维求和：",
    ),
    "vae.f.gap": (
        "**How far the bound is from the truth.** Averaging the weights of K samples inside the logarithm "
        "(Burda et al. 2016, eq. 8) tightens it; the difference is a floor of the gap, the KL from q to the true posterior.",
        "**下界离真值有多远。** 在对数内对 K 个样本的权重取平均 （Burda et al. 2016，式 8）会使下界更紧；"
        "两者之差是差距（q 到真实后验的 KL）的下限。",
    ),
    "vae.f.prior": (
        "**How usual the sliders' code is under the prior**, a standard normal in D dimensions, in nats:",
        "**滑块上的编码在先验下有多常见**，先验是 D 维标准正态分布，单位奈特：",
    ),
    "vae.notes": ("Where the notes differ", "与笔记不同之处"),
    "vae.notes.text": (
        "The notes say that maximising log p(x) is equivalent to maximising L<sub>b</sub>. L<sub>b</sub> is a lower bound: over φ it closes the gap, "
        "over θ it raises the floor; both meet only if q equals the true posterior. Their first line integrates q·p(z); "
        "the right one integrates q·log p(x). And “at the same time” minimising the KL and maximising the expectation is a "
        "trade: KL = 0 everywhere would mean that z says nothing about x.",
        "笔记说最大化 log p(x) 等价于最大化 L<sub>b</sub>。L<sub>b</sub> 是下界：对 φ 优化会缩小差距，对 θ 优化会抬高下界；"
        "只有当 q 等于真实后验时两者才相等。笔记推导的第一行对 q·p(z) 积分，正确的是对 q·log p(x) 积分。"
        "另外，“同时”最小化 KL 与最大化期望其实是取舍：若 KL 处处为 0，z 就不携带关于 x 的任何信息。",
    ),
}
