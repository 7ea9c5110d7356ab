// 微信小程序的问答客户端：只用 wx.request 和本地存储，没有 EventSource，也不占 WebSocket。用法见同目录 README。
//
// 提问：3 秒内必有回话，没答完先给占位；同一个 lid 不管重发几次都只是一个问题。
// 收答案：一段接一段的长轮询，从 last_message_id 接着读；切后台、断网、重启小程序都不丢也不重。

const BOT = '/api/v1/bot'
const PLACEHOLDER = '正在思考中…'
const DEADLINE_MS = 3000
const POLL_S = 20 // 一段长轮询；wx.request 和常见代理都能等这么久
const MOST_REQUESTS = 5 // 同时最多 5 个连接，长轮询占 1 个
const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5000
const REMEMBERED = 200 // 已经给过页面的消息，防止重复

class BotError extends Error {
  constructor(status, error) {
    super(error.detail || `HTTP ${status}`)
    this.status = status
    this.code = error.code || 'unknown' // 稳定的短码，可以据此提示用户
    this.requestId = (error.meta || {}).request_id || ''
  }
}

class Bot {
  // wx：微信的全局对象；onMessage(message)：每条新消息，或占位被替换时；onGap()：离开太久，中间有消息取不到了
  constructor({ baseUrl, wx, opening = {}, onMessage = () => {}, onGap = () => {}, storageKey = 'qa-bot' }) {
    Object.assign(this, { baseUrl, wx, opening, onMessage, onGap, storageKey })
    this.kept = wx.getStorageSync(storageKey) || { sid: '', token: '', last: 0, unsent: [] }
    this.shown = new Map() // 消息 id -> 状态
    this.lids = new Map() // 机器人消息 id -> 提问时的 lid
    this.asking = new Set() // 还没回话的提问
    this.running = 0
    this.queue = []
    this.polling = null
  }

  // ---- 提问 ----

  // 返回 {id, lid, state, text, choices, …}；state 为 pending 时显示 text 占位，答案由 onMessage 带着同一个 lid 送来
  ask(text, lid = newLid()) {
    const asked = this.askWithin(text, lid)
    const settled = asked.catch(() => {}).then(() => this.asking.delete(settled))
    this.asking.add(settled)
    return asked
  }

  async askWithin(text, lid) {
    const ends = Date.now() + DEADLINE_MS
    for (let tries = 0, left = DEADLINE_MS; left > 0; left = ends - Date.now(), tries += 1) {
      try {
        await this.within(this.open(), left)
        return await this.say({ text, lid }, ends)
      } catch (error) {
        if (isGone(error) && tries === 0) this.forget() // 会话过期：开一个新的再问
        else if (!isPassing(error)) throw error
        await sleep(Math.min(pauseMs(tries), Math.max(0, ends - Date.now())))
      }
    }
    this.keep({ unsent: [...this.kept.unsent.filter((one) => one.lid !== lid), { text, lid }] })
    this.wake() // 还没被受理：长轮询里用同一个 lid 接着问
    return { id: '', lid, state: 'pending', text: PLACEHOLDER }
  }

  async say({ text, lid }, ends) {
    const left = ends - Date.now()
    const wait = Math.min(3, Math.floor((left + 250) / 1000))
    const prefer = wait > 0 ? `wait=${wait}` : 'respond-async'
    const answer = await this.send('POST', this.path('/messages'), { text, lid }, { Prefer: prefer }, Math.max(left, 1000))
    const message = flat(answer.data)
    for (const one of answer.included || []) if (one.type === 'messages') this.isNew(flat(one))
    this.isNew(message)
    this.lids.set(message.id, lid)
    return { ...message, lid, sources: (answer.included || []).filter((one) => one.type !== 'messages') }
  }

  // ---- 收答案 ----

  // 页面 onShow 时调用；onHide 时调用 stop()
  start() {
    if (!this.polling) {
      this.stopped = false
      this.polling = this.poll().finally(() => { this.polling = null })
    }
  }

  stop() {
    this.stopped = true
    if (this.task) this.task.abort()
    this.wake()
    return this.polling
  }

  async poll() {
    for (let failures = 0; !this.stopped;) {
      try {
        await this.open()
        await this.sayUnsent()
        const query = `?last_message_id=${this.kept.last}&limit=50&wait=${POLL_S}`
        const page = await this.send('GET', this.path('/messages') + query, null, {}, (POLL_S + 5) * 1000, true)
        failures = 0
        await Promise.all(this.asking) // 长轮询可能比提问先看到答案：先让提问回话，再把它没给过的给页面
        await this.sayUnsent()
        if (this.stopped) return
        for (const one of page.data) this.give(flat(one))
        this.keep({ last: page.meta.last_message_id }) // 先给页面，再记住：中途退出也不丢
      } catch (error) {
        if (error.code === 'aborted') continue
        if (isGone(error)) this.forget()
        else if (error.code === 'cursor-expired' || error.code === 'cursor-invalid') await this.skip()
        await this.pause(pauseMs(failures))
        failures += 1
      }
    }
  }

  async sayUnsent() {
    for (const question of this.kept.unsent) {
      try {
        const message = await this.say(question, Date.now()) // respond-async：答案随后由长轮询取到
        this.onMessage(message)
      } catch (error) {
        if (isPassing(error)) throw error
        this.onMessage({ id: '', lid: question.lid, state: 'failed', text: error.message })
      }
      this.keep({ unsent: this.kept.unsent.filter((one) => one.lid !== question.lid) })
    }
  }

  async skip() {
    const session = await this.send('GET', this.path(''), null, {}, DEADLINE_MS)
    this.keep({ last: session.data.attributes.last_message_id })
    this.onGap()
  }

  give(message) {
    const lid = this.lids.get(message.id)
    if (this.isNew(message)) this.onMessage(lid ? { ...message, lid } : message)
  }

  isNew(message) {
    if (this.shown.get(message.id) === message.state) return false
    this.shown.set(message.id, message.state)
    for (const map of [this.shown, this.lids]) if (map.size > REMEMBERED) map.delete(map.keys().next().value)
    return true
  }

  // ---- 会话 ----

  // opening：{device_id, bot} 匿名，或 {user_token}（宿主后端签发）直接以用户身份打开；小程序不能发 PATCH，所以不在这里绑定
  open() {
    if (this.kept.token) return Promise.resolve()
    if (!this.opens) {
      this.opens = this.send('POST', `${BOT}/sessions`, this.opening, {}, DEADLINE_MS)
        .then(({ data }) => this.keep({ sid: data.id, token: data.attributes.token, last: data.attributes.last_message_id }))
        .finally(() => { this.opens = null })
    }
    return this.opens
  }

  forget() {
    this.keep({ sid: '', token: '', last: 0 })
  }

  keep(changes) {
    this.kept = { ...this.kept, ...changes }
    this.wx.setStorageSync(this.storageKey, this.kept)
  }

  path(rest) {
    return `${BOT}/sessions/${this.kept.sid}${rest}`
  }

  // ---- 请求 ----

  async send(method, path, data, header, timeout, isPoll = false) {
    while (this.running >= MOST_REQUESTS) await new Promise((resolve) => this.queue.push(resolve))
    this.running += 1
    try {
      return await this.request(method, path, data, header, timeout, isPoll)
    } finally {
      this.running -= 1
      if (this.queue.length) this.queue.shift()()
    }
  }

  request(method, path, data, header, timeout, isPoll) {
    const bearer = this.kept.token ? { Authorization: `Bearer ${this.kept.token}` } : {}
    return new Promise((resolve, reject) => {
      const task = this.wx.request({
        url: this.baseUrl + path,
        method,
        data: data === null ? undefined : data,
        header: { 'Content-Type': 'application/json', ...bearer, ...header },
        timeout,
        success: ({ statusCode, data: body }) => {
          if (statusCode >= 200 && statusCode < 300 && body && body.data) resolve(body)
          else reject(new BotError(statusCode, ((body && body.errors) || [{}])[0]))
        },
        fail: ({ errMsg }) => reject(new BotError(0, { code: /abort/.test(errMsg) ? 'aborted' : 'unreachable', detail: errMsg })),
      })
      if (isPoll) this.task = task
    })
  }

  within(promise, ms) {
    const late = sleep(ms).then(() => { throw new BotError(0, { code: 'deadline-exceeded' }) })
    return Promise.race([promise, late])
  }

  pause(ms) {
    return Promise.race([sleep(ms), new Promise((resolve) => { this.woken = resolve })])
  }

  wake() {
    if (this.task && this.kept.unsent.length) this.task.abort() // 有话要说：这一段轮询先结束
    if (this.woken) this.woken()
  }
}

function flat(resource) {
  return { id: resource.id, ...resource.attributes }
}

// 网络断了、服务一时不在：值得再试
function isPassing(error) {
  return error instanceof BotError && (error.status === 0 || error.status >= 500)
}

// 会话 24 小时不用就没了
function isGone(error) {
  return error.status === 401 || error.status === 404
}

function pauseMs(tries) {
  return Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2)
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function newLid() {
  const random = () => Math.random().toString(36).slice(2, 12)
  return `${Date.now().toString(36)}-${random()}${random()}`
}

module.exports = { Bot, BotError }
