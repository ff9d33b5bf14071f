"""Visible strings of the autoencoder tab, key -> (English, Chinese)."""

TEXT = {
    "ae.tab": ("Autoencoders", "自编码器"),
    # its row of the overview
    "ae.overview.what": ("A picture squeezed into a few numbers, and restored from them.", "把图片压缩成几个数，再从中还原。"),
    "ae.overview.encode": ("yes: a point", "能：一个点"),
    "ae.overview.sample": ("not really: its codes follow no law; here, a Gaussian fitted to them", "其实不能：它的编码不服从任何分布；这里用拟合的高斯"),
    "ae.overview.likelihood": ("no", "没有"),
    "ae.overview.next": ("Random codes are the code of nothing. So give the codes a law:", "随机的编码不对应任何图片。于是给编码规定一个分布："),
    # the structure figure
    "ae.encoder": ("Encoder", "编码器"),
    "ae.decoder": ("Decoder", "解码器"),
    "ae.figure": ("The autoencoder's structure with the current data on each edge", "自编码器的结构，每条边上是当前的数据"),
    "ae.figure.x": ("your digit x", "您的数字 x"),
    "ae.figure.code": ("its code h = g(x)", "编码 h = g(x)"),
    "ae.figure.x_hat": ("restored, x̂ = f(h)", "还原结果 x̂ = f(h)"),
    # your own picture
    "ae.own": ("Compress and restore", "压缩与还原"),
    "ae.own.try": (
        "An autoencoder squeezes a picture through a narrow code and must give it back: nothing tells it what a digit is, only the error counts. "
        "Draw a digit and see what survives; then draw something that is none, and notice that it is bent into strokes the code knows.",
        "自编码器（autoencoder）把图片挤过一个狭窄的编码，再把它还原出来：没有人告诉它什么是数字，只有误差起作用。"
        "画一个数字，看看留下了什么；再画一个不是数字的东西，注意它如何被扭成编码所认识的笔画。",
    ),
    "ae.pad": ("A pad to draw a digit on", "用来画数字的画板"),
    "ae.example": ("or pick an example", "或选择一个示例"),
    "ae.example.alt": ("Ten pictures to pick from", "十张可选的示例图片"),
    "ae.example.pick": ("Example {i} of 0 to {n}: encode it", "示例 {i}（0 至 {n}）：将其编码"),
    "ae.upload": ("or bring a picture", "或上传一张图片"),
    "ae.resized": ("Your picture was cropped to a square and resized to {size}×{size} pixels, which is what this model sees.", "您的图片已裁成正方形并缩放到 {size}×{size} 像素，这就是该模型所看到的大小。"),
    "ae.resized.grey": ("Your picture was cropped to a square, resized to {size}×{size} pixels and turned grey, which is what this model sees.", "您的图片已裁成正方形、缩放到 {size}×{size} 像素并转为灰度，这就是该模型所看到的样子。"),
    "ae.look.alt": ("Your digit, what comes back, and the signed error", "您的数字、还原结果以及带符号的误差"),
    "ae.x": ("x, as the encoder sees it", "编码器看到的 x"),
    "ae.x_hat": ("x̂, restored", "还原的 x̂"),
    "ae.difference": ("x̂ − x: orange more, blue less", "x̂ − x：橙色偏多，蓝色偏少"),
    # one picture, four models
    "ae.row": ("One picture, four models", "一张图片，四个模型"),
    "ae.row.try": (
        "The same picture through a plain, a sparse and a contractive autoencoder, and through PCA, the best that straight lines can do. "
        "Slide the code's size: PCA is exact at each, the plain one steps between the sizes that were trained. Notice that 30 curved numbers restore more than 60 straight ones.",
        "同一张图片依次通过普通、稀疏（sparse）、收缩（contractive）自编码器，以及主成分分析（PCA，即直线所能做到的最好结果）。"
        "拖动编码长度：PCA 在每个长度上都是精确的，普通自编码器在训练过的长度之间切换。注意：30 个弯曲的数比 60 个直的数还原得更多。",
    ),
    "ae.row.d": ("Numbers in the code, d", "编码中数的个数 d"),
    "ae.row.alt": ("Your picture and its four reconstructions, and below them the signed errors", "您的图片和四个还原结果，下面是带符号的误差"),
    "ae.row.plain": ("plain", "普通"),
    "ae.row.sparse": ("sparse", "稀疏"),
    "ae.row.contractive": ("contractive", "收缩"),
    "ae.row.pca": ("PCA", "主成分分析"),
    "ae.row.signed": ("x̂ − x: orange more, blue less", "x̂ − x：橙色偏多，蓝色偏少"),
    "ae.row.error": ("squared error, ‖x − x̂‖²", "平方误差 ‖x − x̂‖²"),
    "ae.row.norm": ("code norm, ‖h‖", "编码范数 ‖h‖"),
    "ae.row.active": ("active units", "活跃单元"),
    "ae.row.jacobian": ("‖J‖<sub>F</sub> of the encoder", "编码器的 ‖J‖<sub>F</sub>"),
    "ae.row.curve.pca": ("PCA", "主成分分析（PCA）"),
    "ae.row.curve.deep": ("deep autoencoders, as trained", "深度自编码器（已训练的长度）"),
    "ae.row.curve.alt": ("Mean squared error on held-out pictures against the size of the code", "保留图片上的平均平方误差随编码长度的变化"),
    "ae.row.axes": (
        "Across: numbers in the code. Up, on a logarithmic axis: mean squared error of a held-out picture, summed over its pixels. "
        "Hinton & Salakhutdinov 2006 report 3.00 for their autoencoder and 13.87 for PCA at d = 30.",
        "横轴：编码中数的个数。纵轴（对数）：每张保留图片的平均平方误差，对像素求和。"
        "Hinton & Salakhutdinov 2006 在 d = 30 时报告：自编码器 3.00，PCA 13.87。",
    ),
    "ae.row.now.pca": ("PCA with d numbers", "d 个数的 PCA"),
    "ae.row.now.deep": ("the deep one in sight", "眼前的深度模型"),
    "ae.row.explained": ("of the variance, by PCA", "PCA 解释的方差"),
    "ae.row.f": (
        "**The loss of an autoencoder** (Hinton & Salakhutdinov 2006): squared error, summed over the pixels of a picture, averaged over pictures. "
        "With a straight encoder and decoder its minimum is PCA. For this picture:",
        "**自编码器的损失**（Hinton & Salakhutdinov 2006）：平方误差，对一张图的像素求和，再对图片取平均。若编码器和解码器都是线性的，其最小值就是 PCA。对这张图片：",
    ),
    # two planes
    "ae.planes": ("Two planes, one pointer", "两个平面，一个指针"),
    "ae.planes.try": (
        "Two models whose code has two numbers; point anywhere and both decode that place. Left a plain autoencoder: its codes lie where training happened to push them, with empty land between them. "
        "Right a VAE, trained to fill a bell curve. Walk from one class to another, and notice where the picture falls apart.",
        "两个编码只有两个数的模型；指向任意位置，两者都会解码那一点。左边是普通自编码器：编码落在训练碰巧推到的地方，中间是空地。"
        "右边是 VAE，训练使它填满一条钟形曲线。从一类走到另一类，注意图片在哪里散架。",
    ),
    "ae.plane.name": ("Autoencoder", "自编码器"),
    "ae.plane.vae.name": ("Variational autoencoder", "变分自编码器"),
    "ae.plane.alt": ("Codes of held-out digits in the autoencoder's plane, by class, and the decode of the place pointed at", "自编码器平面上保留数字的编码（按类别），以及所指位置的解码结果"),
    "ae.plane.vae.alt": ("Codes of held-out digits in the VAE's plane, by class, and the decode of the place pointed at", "VAE 平面上保留数字的编码（按类别），以及所指位置的解码结果"),
    "ae.planes.cursor": ("The plane of codes; drag, or use the arrow keys", "编码平面；可拖动或使用方向键"),
    "ae.planes.codes": ("codes of held-out digits, by class", "保留数字的编码，按类别"),
    "ae.planes.ring": ("the nearest code", "最近的编码"),
    "ae.planes.distance": ("to the nearest code, in standard deviations", "到最近编码的距离（以标准差计）"),
    "ae.planes.empty": ("of 500 random points lie in empty land", "的 500 个随机点落在空地"),
    "ae.planes.rarest": ("the digit they decode to least often", "这些点最少解码出的数字"),
    "ae.planes.z1": ("z1, in standard deviations of the codes", "z1（以编码的标准差计）"),
    "ae.planes.z2": ("z2, in standard deviations of the codes", "z2（以编码的标准差计）"),
    "ae.planes.f": (
        "**A decoder answers anywhere**, but it was only ever trained where codes are. Random points are drawn from N(0, I) in each plane's own units; land is empty where no code is nearer than 0.3. Which digit they decode to our classifier reads.",
        "**解码器在哪里都会给出答案**，但它只在有编码的地方受过训练。随机点按各平面自己的单位从 N(0, I) 抽取；0.3 以内没有编码的地方算作空地。解码出哪个数字由我们的分类器判断。",
    ),
    # top k
    "ae.keep": ("A digit from few units", "用少数单元拼出数字"),
    "ae.keep.try": (
        "A sparse code has more units than the picture has pixels, and most of them are silent. Play: the active ones are added one at a time, the strongest first, each with its own stroke. "
        "Notice how soon the digit stands, and how little the last units change.",
        "稀疏编码的单元比图片的像素还多，而其中大多数是沉默的。点击播放：活跃单元从最强的开始逐个加入，每个带来自己的一笔。注意数字多快就成形，而最后几个单元改变得多么少。",
    ),
    "ae.keep.player": ("Units added", "已加入的单元"),
    "ae.keep.bars": ("Activations h<sub>j</sub>, the strongest first; those in the picture are lit", "激活值 h<sub>j</sub>，从强到弱；已用于图片的被点亮"),
    "ae.keep.curve": ("squared error after so many units", "加入若干单元后的平方误差"),
    "ae.keep.curve.alt": ("Squared error against the number of units kept", "平方误差随保留单元数的变化"),
    "ae.keep.alt": ("Your digit, the picture so far, what is left to explain, and the atom added last", "您的数字、目前的图片、尚未解释的部分，以及最后加入的原子"),
    "ae.keep.so_far": ("x̂ from the lit units", "由点亮单元得到的 x̂"),
    "ae.keep.left": ("x − x̂, still missing", "x − x̂，尚缺的部分"),
    "ae.keep.atom": ("the atom a<sub>j</sub> added last", "最后加入的原子 a<sub>j</sub>"),
    "ae.keep.l1": ("‖h‖<sub>1</sub> of the lit units", "点亮单元的 ‖h‖<sub>1</sub>"),
    "ae.keep.energy": ("of the code's energy, ‖h‖²", "占编码能量 ‖h‖²"),
    "ae.keep.f": (
        "**Sparsity as a price**: the number of active units, ‖h‖<sub>0</sub>, has no useful gradient; λ‖h‖<sub>1</sub> has, if the atoms keep the length 1. For the units lit now:",
        "**把稀疏性变成价格**：活跃单元数 ‖h‖<sub>0</sub> 没有可用的梯度；只要原子的长度保持为 1，λ‖h‖<sub>1</sub> 就有。对此刻点亮的单元：",
    ),
    # the filter wall
    "ae.wall": ("What the units look for", "各单元在寻找什么"),
    "ae.wall.try": (
        "Each tile is the pattern that one hidden unit looks for, its weights in the picture's shape; below it its mean activation. Click one: what excites it most, and your picture without it. "
        "Notice strokes and dots rather than whole digits, and that a picture survives the loss of any single unit.",
        "每块是一个隐藏单元所寻找的图案，即按图片形状排列的权重；下面是它的平均激活值。点击一块：看看什么最能激活它，以及去掉它之后您的图片。"
        "注意它们是笔画和点，而不是整个数字；少了任何一个单元，图片都还在。",
    ),
    "ae.wall.page": ("Page, the most active units first", "页（最活跃的单元在前）"),
    "ae.wall.pages": ("page", "页"),
    "ae.wall.active": ("of the units active for a picture", "的单元对一张图片活跃"),
    "ae.wall.dead": ("never active", "从不活跃"),
    "ae.wall.alt": ("Filters of thirty-two hidden units", "三十二个隐藏单元的滤波器"),
    "ae.wall.pick": ("Unit {i} of {n} on this page: look at it closely", "本页第 {i} 个单元，共 {n} 个：仔细查看"),
    "ae.wall.means": ("Below each: its mean activation on the training pictures. Orange: wants ink, blue: wants none.", "下方：在训练图片上的平均激活值。橙色：希望有墨，蓝色：希望没有。"),
    "ae.wall.f": (
        "**The picture that excites a unit most**, among all of the same norm, is its own weights (Ng 2011); W<sub>j</sub>x says how much your picture does:",
        "**最能激活一个单元的图片**（在范数相同的图片中）就是它自己的权重（Ng 2011）；W<sub>j</sub>x 表示您的图片激活了多少：",
    ),
    "ae.unit.alt": ("The unit's filter, your picture with it and without it, and the difference", "该单元的滤波器、有它和没有它时您的图片，以及两者之差"),
    "ae.unit.filter": ("its filter", "它的滤波器"),
    "ae.unit.with": ("x̂ with it", "有它的 x̂"),
    "ae.unit.without": ("x̂ without it", "没有它的 x̂"),
    "ae.unit.difference": ("the difference", "两者之差"),
    "ae.unit.now": ("its activation for your picture", "对您的图片的激活值"),
    "ae.unit.mean": ("its mean activation", "平均激活值"),
    "ae.unit.cost": ("squared error more without it", "去掉它增加的平方误差"),
    "ae.unit.exciting": ("Sixteen pictures that excite it most, the strongest first", "最能激活它的十六张图片，从强到弱"),
    # the price of silence
    "ae.penalty": ("What silence costs", "沉默的代价"),
    "ae.penalty.try": (
        "Sparse models alike but for λ, the weight of their penalty. Slide it up: fewer units speak, each for a larger piece of the digit, and the error grows. "
        "Notice that training and test error stay close: a penalty regularises.",
        "除 λ（惩罚的权重）外完全相同的稀疏模型。把它调大：发声的单元变少，每个单元代表数字中更大的一块，误差也随之增加。注意训练误差与测试误差始终接近：惩罚起到正则化（regularisation）的作用。",
    ),
    "ae.penalty.slider": ("Model, λ rising", "模型（λ 递增）"),
    "ae.penalty.error": ("mean squared error, test", "测试集平均平方误差"),
    "ae.penalty.multiplications": ("multiplications a picture, silent units skipped", "每张图的乘法次数（跳过沉默单元）"),
    "ae.penalty.test": ("error on test pictures", "测试图片的误差"),
    "ae.penalty.training": ("on training pictures", "训练图片的误差"),
    "ae.penalty.curve.alt": ("Squared error against the share of active units, one point for each model", "平方误差随活跃单元占比的变化，每个模型一个点"),
    "ae.penalty.axes": ("Across: mean share of active units. Up: mean squared error of a picture.", "横轴：活跃单元的平均占比。纵轴：每张图的平均平方误差。"),
    "ae.penalty.all": ("Your digit as each of the models restores it", "各模型对您的数字的还原"),
    "ae.penalty.alt": ("The atoms that your digit is mostly made of", "构成您的数字的主要原子"),
    "ae.penalty.atoms": ("What your digit is mostly made of in the chosen model, each atom with its activation", "在所选模型中，您的数字主要由这些原子构成，下方是各自的激活值"),
    "ae.penalty.f": (
        "**What silence saves**: the encoder must ask all U units, but only active ones, a share ā, need their P products in the decoder, if silent ones are skipped:",
        "**沉默节省了什么**：编码器必须询问全部 U 个单元；而在解码器中，若跳过沉默单元，只有占比为 ā 的活跃单元需要各自的 P 次乘法：",
    ),
    # contraction
    "ae.contraction": ("What contraction does", "收缩做了什么"),
    "ae.contraction.try": (
        "Nudge a picture, and its code moves. Two models with the same layers, one trained to keep that small: its code still follows a few directions, the tangents of the digits, and is deaf to the rest. "
        "Slide along a tangent, then compare with the random direction.",
        "轻推一张图片，它的编码就会移动。两个层数相同的模型，其中一个在训练时要求这种移动很小：它的编码仍然跟随少数几个方向，即数字的切方向（tangent），对其余方向充耳不闻。"
        "沿一个切方向滑动，再与随机方向比较。",
    ),
    "ae.contraction.contractive": ("contractive", "收缩"),
    "ae.contraction.tied": ("without the penalty", "无惩罚"),
    "ae.contraction.spectrum": ("Singular values of both encoders' Jacobians at your picture, the largest first, on a logarithmic axis", "两个编码器在您的图片处的雅可比矩阵的奇异值，从大到小，对数轴"),
    "ae.contraction.axes": ("Singular values of J at your picture, the largest first; below 1e-4 not drawn", "您的图片处 J 的奇异值，从大到小；小于 1e-4 的不画"),
    "ae.contraction.norm": ("‖J‖<sub>F</sub> there", "该处的 ‖J‖<sub>F</sub>"),
    "ae.contraction.rank": ("values above 1 % of the largest", "大于最大值 1 % 的个数"),
    "ae.contraction.ratio_tangent": ("‖Δh‖ / ‖Δx‖ along the tangent", "沿切方向的 ‖Δh‖ / ‖Δx‖"),
    "ae.contraction.ratio_random": ("… along a random direction", "……沿随机方向"),
    "ae.contraction.tangents": (
        "The five directions each code follows most, with their singular values: above the contractive one's, below its twin's",
        "两个编码各自最跟随的五个方向及其奇异值：上排为收缩模型，下排为无惩罚的配对模型",
    ),
    "ae.contraction.f": (
        "**The contractive loss** (Rifai et al. 2011): J is the encoder's Jacobian; one W serves encoder and decoder, so that flattening the one cannot be undone by the other. At your picture:",
        "**收缩损失**（Rifai et al. 2011）：J 是编码器的雅可比矩阵（Jacobian）；编码器与解码器共用一个 W，压平前者就无法由后者抵消。在您的图片处：",
    ),
    "ae.nudge.which": ("Tangent, the strongest first", "切方向（最强的在前）"),
    "ae.nudge.amount": ("How far, ‖Δx‖", "移动多远，‖Δx‖"),
    "ae.nudge.alt": ("Your picture, nudged along each model's tangent, and along a random direction", "您的图片，以及沿两个模型的切方向和沿随机方向轻推的结果"),
    "ae.nudge.random": ("along a random direction", "沿随机方向"),
    "ae.nudge.contractive.tangent": ("contractive, its tangent", "收缩，自己的切方向"),
    "ae.nudge.contractive.random": ("contractive, random", "收缩，随机方向"),
    "ae.nudge.tied.tangent": ("without the penalty, its tangent", "无惩罚，自己的切方向"),
    "ae.nudge.tied.random": ("without the penalty, random", "无惩罚，随机方向"),
    "ae.nudge.curve": ("How far the code moves, ‖Δh‖, against how far the picture is nudged", "编码移动的距离 ‖Δh‖ 随图片移动距离的变化"),
    # repair
    "ae.repair": ("Corrupt and repair", "破坏与修复"),
    "ae.repair.try": (
        "An autoencoder trained to give back the clean picture for a corrupted one (Vincent et al. 2008) learns what pictures look like. Choose a corruption and turn it up; "
        "notice how long the digit survives, and that what comes back is always a digit, at last the wrong one.",
        "训练自编码器由被破坏的图片还原出干净的图片（去噪自编码器，Vincent et al. 2008），它就学会了图片的样子。选择一种破坏并调大；注意数字能坚持多久，以及还原的总是一个数字，最后是错的那个。",
    ),
    "ae.repair.kind": ("Corruption", "破坏方式"),
    "ae.repair.mask": ("pixels lost", "像素丢失"),
    "ae.repair.gaussian": ("Gaussian noise", "高斯噪声"),
    "ae.repair.salt-pepper": ("salt and pepper", "椒盐噪声"),
    "ae.repair.amount": ("Amount: share of the pixels, or the noise's σ", "强度：像素占比，或噪声的 σ"),
    "ae.repair.alt": ("Your picture, corrupted, repaired, and what still differs", "您的图片、被破坏的、修复的，以及仍有的差别"),
    "ae.repair.seen": ("x̃, corrupted", "被破坏的 x̃"),
    "ae.repair.repaired": ("repaired", "修复结果"),
    "ae.repair.difference": ("repaired − x", "修复结果 − x"),
    "ae.repair.before": ("PSNR before, dB", "修复前 PSNR，dB"),
    "ae.repair.after": ("PSNR after, dB", "修复后 PSNR，dB"),
    "ae.repair.fails": ("amount at which another digit is read", "读成另一个数字时的强度"),
    "ae.repair.by": ("Repaired by", "修复模型："),
    "ae.repair.curve": ("PSNR before and after the repair against the amount of the corruption", "修复前后的 PSNR 随破坏强度的变化"),
    "ae.repair.axes": ("Across: amount. Up: PSNR in dB, before and after.", "横轴：强度。纵轴：修复前后的 PSNR（dB）。"),
    "ae.repair.f": (
        "**The denoising loss** (Vincent et al. 2008) compares with the clean x, so that copying is no way out. For your picture:",
        "**去噪损失**（Vincent et al. 2008）与干净的 x 比较，照抄因而行不通。对您的图片：",
    ),
    # the field
    "ae.field": ("Where the autoencoder pushes you", "自编码器把您推向哪里"),
    "ae.field.try": (
        "A denoising autoencoder of points, trained while you look on. Its push r(x) − x (orange) learns to point to the data: σ² times the score of the data blurred by σ (blue). "
        "Drop particles and let x ← r(x) carry them; then widen σ, and notice that the arrows point to the middle of what the blur has melted together. This is where diffusion models begin.",
        "一个点的去噪自编码器，就在您眼前训练。它的推力 r(x) − x（橙色）学会指向数据：等于 σ² 乘以被 σ 模糊后的数据的得分（score，蓝色）。"
        "投下粒子，让 x ← r(x) 带走它们；再加大 σ，注意箭头指向被模糊融在一起的东西的中间。扩散模型（diffusion）正是由此开始。",
    ),
    "ae.field.alt": ("The plane with data, the push r(x) − x as arrows, and particles that follow it", "平面上的数据、作为箭头的推力 r(x) − x，以及随之移动的粒子"),
    "ae.field.data": ("data", "数据"),
    "ae.field.exact": ("σ²∇ log p<sub>σ</sub>, exact", "σ²∇ log p<sub>σ</sub>，精确值"),
    "ae.field.learnt": ("r(x) − x, learnt", "r(x) − x，学到的"),
    "ae.field.paths": ("their way", "它们的路径"),
    "ae.field.particles": ("particles", "粒子"),
    "ae.field.set": ("Data", "数据"),
    "ae.field.set.ring": ("ring of eight", "八个点的环"),
    "ae.field.set.gaussians": ("two Gaussians", "两个高斯"),
    "ae.field.set.moons": ("moons", "双月"),
    "ae.field.set.drawing": ("your drawing", "您的图画"),
    "ae.field.sigma": ("σ of the corruption", "破坏的 σ"),
    "ae.field.steps": ("Steps of x ← r(x)", "x ← r(x) 的步数"),
    "ae.field.updates": ("updates", "次更新"),
    "ae.field.cosine": ("cosine to the exact score", "与精确得分的余弦"),
    "ae.field.near": ("of the particles have arrived", "的粒子已到达"),
    "ae.field.draw": ("Draw your own data here, and choose “your drawing”", "在此画出您自己的数据，并选择“您的图画”"),
    "ae.field.pad": ("A pad to draw data on", "用来画数据的画板"),
    "ae.field.mean": ("mean over noised points", "对加噪点取平均"),
    "ae.field.f": (
        "**The best repair points along the score** (Tweedie's formula; Alain & Bengio 2014), of the density of the noised data, not of the clean ones:",
        "**最好的修复沿着得分的方向**（Tweedie 公式；Alain & Bengio 2014），是加噪数据密度的得分，而不是干净数据的：",
    ),
    # use the code
    "ae.use": ("Use the code", "使用编码"),
    "ae.use.try": (
        "The same small reader of digits twice: one gets the chosen model's code, one all pixels. Train both on the same labels, side by side. "
        "Notice how far few numbers get, with a fraction of the weights; and in the plane that classes lie apart, though the autoencoder has seen no label.",
        "同一个读数字的小网络训练两次：一个读所选模型的编码，一个读全部像素。用同样的标签并排训练。注意：少数几个数、一小部分权重就能走多远；并看右边的平面，自编码器没有见过任何标签，各类却已分开。",
    ),
    "ae.use.code": ("on the code", "用编码"),
    "ae.use.pixels": ("on the pixels", "用像素"),
    "ae.use.curve": ("Accuracy of both readers on pictures they have not seen, over their updates", "两个读数网络在未见图片上的正确率随更新次数的变化"),
    "ae.use.axes": ("Across: updates. Up: per cent of unseen pictures read rightly.", "横轴：更新次数。纵轴：未见图片的正确率（%）。"),
    "ae.use.inputs": ("numbers in", "输入的数"),
    "ae.use.weights": ("weights", "权重数"),
    "ae.use.accuracy": ("accuracy", "正确率"),
    "ae.use.seconds": ("seconds of training", "训练秒数"),
    "ae.use.plane": ("Codes of unseen digits on their two strongest directions, by class", "未见数字的编码投影到两个最强方向，按类别"),
    "ae.use.codes": ("codes, by the class they were never told", "编码，按从未告诉过它的类别"),
    "ae.use.f": ("**Weights of a reader** with 32 hidden units on d inputs:", "**读数网络的权重数**（d 个输入，32 个隐藏单元）："),
    # why none of them generates
    "ae.none": ("Why none of them generates", "为什么它们都不能生成"),
    "ae.none.text": (
        "An autoencoder says how to compress what it is given; it says nothing about which codes are likely. Its training gives no p(x) and no p(z): where no training code fell, the decoder was never asked, and what it answers there is anyone's guess. "
        "The next chapter asks the codes to fill a known distribution.",
        "自编码器只说明如何压缩给定的东西，却没有说哪些编码是可能的。它的训练既不给出 p(x)，也不给出 p(z)：没有训练编码的地方，解码器从未被问过，那里的答案无人能保证。下一章要求编码填满一个已知的分布。",
    ),
    "ae.notes": ("Where the notes differ", "与笔记不同之处"),
    "ae.notes.text": (
        "The notes list the autoencoder among generative models; as they say themselves a chapter later, it models no p(x). They call codes parameters: parameters are φ and θ, the code is a latent variable. "
        "The loss depends on both, L(θ, φ), and its unit matters: 3.00 is a sum over pixels, 784 times the mean. Encoder and decoder stand on either side of the code and may each be deep. "
        "A sparse autoencoder has a larger hidden layer, not a larger output; the count of active units has no useful gradient, so λ‖h‖<sub>1</sub>, a KL to a small mean, or the k largest stand for it. Sparsity regularises; it saves work only where silent units are skipped. "
        "In the contractive penalty J is the Jacobian of the encoder, with a weight λ; it makes the code, not the loss, insensitive to x.",
        "笔记把自编码器列为生成模型；但正如下一章自己所说，它并不对 p(x) 建模。笔记把编码称为参数：参数是 φ 和 θ，编码是隐变量。损失依赖两者，即 L(θ, φ)，单位也很重要：3.00 是对像素求和，为平均值的 784 倍。"
        "编码器和解码器位于编码的两侧，各自都可以很深。稀疏自编码器的隐藏层更大，而不是输出层更大；活跃单元的个数没有可用的梯度，因此用 λ‖h‖<sub>1</sub>、到一个很小均值的 KL，或只保留最大的 k 个来代替。"
        "稀疏性起正则化作用；只有跳过沉默单元时才节省计算。收缩惩罚中的 J 是编码器的雅可比矩阵，并带权重 λ；它降低的是编码（而不是损失）对 x 的敏感性。",
    ),
    # training
    "ae.train.try": (
        "Choose a time and press Start: a process beside this page trains the model, and everyone who has this page open can watch. "
        "Turn the settings to make it sparse or contractive, or to corrupt what the encoder sees; notice in the film how restored pictures sharpen while the curves fall ever more slowly.",
        "选择时间并点击“开始”：页面旁的一个进程会训练模型，打开此页面的人都能观看。在设置中可以让它变得稀疏或收缩，或破坏编码器所看到的图片；注意影片中还原的图片如何变清晰，而曲线下降得越来越慢。",
    ),
    "ae.train.film": (
        "Held-out pictures as the encoder sees them, each row above what comes back, update by update",
        "编码器看到的保留图片，每一行下面是还原结果，逐次更新",
    ),
    "ae.knob.network": ("Network: deep, sparse, or tied (contractive)", "网络：deep（深度）、sparse（稀疏）或 tied（收缩）"),
    "ae.knob.latent": ("deep: numbers in the code", "deep：编码中数的个数"),
    "ae.knob.units": ("sparse, tied: hidden units", "sparse、tied：隐藏单元数"),
    "ae.knob.sparsity": ("sparse: what keeps units silent", "sparse：使单元沉默的方式"),
    "ae.knob.penalty": ("sparse, tied: λ, weight of the penalty", "sparse、tied：惩罚的权重 λ"),
    "ae.knob.corruption": ("Corruption of what the encoder sees", "对编码器所见图片的破坏"),
    "ae.knob.amount": ("Amount of the corruption", "破坏的强度"),
    "ae.knob.lr": ("Learning rate", "学习率 (learning rate)"),
}
