// What a mini-program has, over node's http: wx.request and storage, and the most requests that ran at once.
const http = require('http')

const stored = new Map()
const wx = {
  peak: 0,
  running: 0,
  methods: ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT'], // no PATCH, as in WeChat
  getStorageSync: (key) => stored.get(key) || '',
  setStorageSync: (key, value) => stored.set(key, JSON.parse(JSON.stringify(value))),
  request({ url, method = 'GET', data, header = {}, timeout = 60000, success, fail }) {
    if (!wx.methods.includes(method)) throw new Error(`wx.request has no ${method}`)
    wx.running += 1
    wx.peak = Math.max(wx.peak, wx.running)
    let ended = false
    const end = (tell, value) => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      wx.running -= 1
      tell(value)
    }
    const sent = http.request(url, { method, headers: header, agent: false }, (response) => {
      const pieces = []
      response.on('data', (piece) => pieces.push(piece))
      response.on('error', (error) => end(fail, { errMsg: `request:fail ${error.message}` }))
      response.on('end', () => {
        const text = Buffer.concat(pieces).toString()
        let body = text
        try { body = JSON.parse(text) } catch { /* left as text, as WeChat does */ }
        end(success, { statusCode: response.statusCode, data: body, header: response.headers })
      })
    })
    const timer = setTimeout(() => { end(fail, { errMsg: 'request:fail timeout' }); sent.destroy() }, timeout)
    sent.on('error', (error) => end(fail, { errMsg: `request:fail ${error.message}` }))
    sent.end(data === undefined ? undefined : JSON.stringify(data))
    return { abort() { end(fail, { errMsg: 'request:fail abort' }); sent.destroy() } }
  },
}

module.exports = wx
