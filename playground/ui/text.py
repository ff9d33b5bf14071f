"""Visible strings of the page itself and of the shared parts, key -> (English, Chinese)."""

TEXT = {
    "page.title": ("Generative Playground", "生成模型游乐场"),
    "page.claim": (
        "Understand generative models by touching them: live models, real data, every formula with its numbers.",
        "动手理解生成模型：真实的模型、真实的数据，每个公式都带着当前的数字。",
    ),
    "page.theme": ("Light / dark", "浅色 / 深色"),
    "page.link": ("Copy link", "复制链接"),
    "page.copied": ("Copied", "已复制"),
    "page.error": ("Not possible", "无法完成"),
    "page.warning": ("Left out", "未采用"),
    # the first tab
    "overview.tab": ("Overview", "总览"),
    "overview.title": ("Five ways to a picture", "通往图片的五条路"),
    "overview.try": (
        "Each row is a model that runs here and now: press the button for new pictures of all five, compare what they draw and what it costs, and choose a row to go in. "
        "Notice that none wins every column, and that each was an answer to what the one above could not do.",
        "每一行都是此刻在这里运行的模型：按下按钮，五个模型都画出新的图片；比较它们画了什么、代价多大，点击一行进入该章。"
        "注意：没有一个模型在每一列都胜出，而每一个都回答了上一个做不到的事。",
    ),
    "overview.others": ("Others", "换一批"),
    "overview.encode": ("Encodes?", "能编码吗？"),
    "overview.sample": ("Samples?", "能采样吗？"),
    "overview.likelihood": ("Likelihood?", "有似然吗？"),
    "overview.frechet": ("Fréchet distance", "Fréchet 距离"),
    "overview.precision": ("Precision", "精确率"),
    "overview.recall": ("Recall", "召回率"),
    "overview.seconds": ("A picture takes", "每张用时"),
    "overview.bytes": ("Weights", "权重"),
    "overview.now": ("just now", "刚才"),
    "overview.real": ("Real training pictures, as many", "同样数量的真实训练图片"),
    "overview.notes": (
        "Measured on MNIST with 5,000 samples by “python -m playground evaluate”, on the machine that each model's card names; a low Fréchet distance, a high precision "
        "(drawn pictures that lie among real ones) and recall (real ones that lie among drawn ones) are good. The two bounds are of different data, black-and-white pixels "
        "and 256 shades, and cannot be compared.",
        "在 MNIST 上用 5,000 个样本由 “python -m playground evaluate” 测得，所用机器见各模型的说明卡；Fréchet 距离越小越好，精确率（落在真实图片之间的生成图片）"
        "与召回率（落在生成图片之间的真实图片）越大越好。两个似然界针对不同的数据（黑白像素与 256 级灰度），不可相互比较。",
    ),
    "part.checkpoint": ("Model", "模型"),
    "part.seed": ("Seed", "随机种子 (seed)"),
    "pad.clear": ("Clear", "清空"),
    "trainer.play": ("Train", "训练"),
    "trainer.pause": ("Pause", "暂停"),
    "trainer.one": ("One update", "更新一次"),
    "trainer.again": ("Start again", "重新开始"),
    "player.play": ("Play", "播放"),
    "player.first": ("To the first step", "到第一步"),
    "player.back": ("One step back", "退一步"),
    "player.next": ("One step on", "进一步"),
    "player.last": ("To the last step", "到最后一步"),
    "orbit.hint": (
        "Drag to turn the camera; the wheel or two fingers come nearer, with Shift the wheel changes the field of view. "
        "Arrow keys turn, + and − come nearer and go away, 0 goes back to the start.",
        "拖动可转动相机；滚轮或双指可拉近拉远，按住 Shift 时滚轮改变视场角。方向键转动，+ 与 − 拉近拉远，0 回到初始视角。",
    ),
    "orbit.rate": ("pictures a second in motion", "张/秒（移动时）"),
    "orbit.samples": ("samples per ray", "个采样点/光线"),
    "orbit.browser": ("drawn by your browser", "由您的浏览器绘制"),
    "orbit.server": ("drawn by the server", "由服务器绘制"),
    "orbit.home": ("Back to the start", "回到初始视角"),
    "orbit.to_server": ("Let the server draw", "改由服务器绘制"),
    "orbit.to_browser": ("Let this browser draw", "改由此浏览器绘制"),
    "keyframes.go": ("Go to this place", "转到该位置"),
    "keyframes.earlier": ("One place earlier", "前移一位"),
    "keyframes.later": ("One place later", "后移一位"),
    "keyframes.out": ("Take it out", "移除"),
    "keyframes.home": ("Start over", "恢复初始"),
    # the training panel
    "train.title": ("Train your own", "自己训练一个"),
    "train.try": (
        "Choose a time and press Start: a process beside this page trains the model, and everyone who has this page open can watch. "
        "Notice in the film how noise becomes strokes and strokes become digits, while the curves fall ever more slowly. "
        "Then change one setting, and start again from the same initial weights.",
        "选择时间并点击“开始”：页面旁的一个进程会训练模型，打开此页面的人都能观看。注意影片中噪声如何变成笔画、笔画如何变成数字，"
        "而曲线下降得越来越慢。然后改动一项设置，用同样的初始权重再训练一次。",
    ),
    "train.limits": (
        "This is a public page. One run trains for at most {seconds} seconds, you may keep {kept}, and {waiting} wait in line at most; "
        "a zip has at most {upload} MB. Only this browser sees your runs. Your pictures are deleted when their run ends, your runs after a day.",
        "这是公共页面。每个任务最多训练 {seconds} 秒，您最多保留 {kept} 个，最多 {waiting} 个排队；zip 最大 {upload} MB。"
        "只有此浏览器能看到您的任务。您的图片在任务结束时删除，任务在一天后删除。",
    ),
    "train.data": ("Data set", "数据集 (data set)"),
    "train.zip": ("Your pictures: a zip", "您的图片：zip"),
    "train.scene": ("Your scene: a zip in Blender's format (transforms_train.json)", "您的场景：Blender 格式的 zip（transforms_train.json）"),
    "train.folder": ("… or a folder", "……或文件夹"),
    "train.taken": ("{images} pictures were read and fitted to {size}×{size} pixels.", "已读取 {images} 张图片，并调整为 {size}×{size} 像素。"),
    "train.time": ("Time", "时间"),
    "train.knobs": ("Settings", "设置"),
    "train.start": ("Start", "开始"),
    "train.measuring": ("Measuring how fast this machine is …", "正在测量本机的速度……"),
    "train.estimate": (
        "About <b>{seconds} s</b> on this machine: {updates} updates, {pictures} pictures, {ms} ms per update as just measured.",
        "在本机上约需 <b>{seconds} 秒</b>：{updates} 次更新，{pictures} 张图片；刚刚测得每次更新 {ms} 毫秒。",
    ),
    "train.word.queued": ("waiting", "排队中"),
    "train.word.running": ("training", "训练中"),
    "train.word.interrupted": ("interrupted", "已中断"),
    "train.word.stopped": ("stopped", "已停止"),
    "train.word.finished": ("finished", "已完成"),
    "train.word.failed": ("failed", "失败"),
    "train.word.left": ("left", "剩余"),
    "train.word.starts": ("starts in about", "预计开始于"),
    "train.word.soon": ("starts at once", "马上开始"),
    "train.word.none": ("No run yet. The first one will appear here.", "还没有训练任务。第一个会出现在这里。"),
    "train.word.died": (
        "The process that trained it ended without a word, as after a kill or a power cut. All that it had saved is there: Resume goes on from it.",
        "训练它的进程突然结束（例如被终止或断电）。已保存的内容都在：点击“继续”即可从那里接着训练。",
    ),
    "train.word.lost": ("The server does not answer; this is what it said last.", "服务器没有回应；以下是它最后的状态。"),
    "train.word.stop": ("Stop", "停止"),
    "train.word.resume": ("Resume", "继续"),
    "train.word.same": ("Again, same initial weights", "再来一次（初始权重相同）"),
    "train.word.new": ("Again, new ones", "再来一次（新的初始权重）"),
    "train.word.use": ("Use this model", "使用此模型"),
    "train.word.best": ("Use its best", "使用其最佳模型"),
    "train.word.download": ("Download", "下载"),
    "train.word.delete": ("Delete", "删除"),
    "train.word.sure": ("Really delete?", "确定删除？"),
    "train.word.frame": ("update", "更新"),
    "train.word.curve": ("Curves of the losses over the updates; point at one to see the film there", "损失随更新次数变化的曲线；指向某处可查看那时的影片"),
    "train.word.film": ("What the model makes of the same noise, update by update", "模型对同一噪声的输出，逐次更新"),
}
