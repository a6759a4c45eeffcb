// Keeps the cards of the live page up to date.
//
// An event is only a hint with ids: the cards themselves come from the server, rendered as the page has them. The
// stream starts after the event that the page was rendered with, so nothing is lost between rendering and connecting.
(function () {
  "use strict";

  var SETTLE_MS = 50; // Events of one moment share a request.
  var MOST_IDS = 50; // The server's limit for one request.
  var MOST_CARDS = 200;
  var RELOAD_MS = 2000; // A flood of batches re-reads the list no more often.
  var SILENT_MS = 35000; // Two keep-alives and a bit without a word: the line is dead.
  var OFFLINE_MS = 60000;
  var LONGEST_WAIT_MS = 15000;

  var cards = document.getElementById("cards");
  var line = document.getElementById("line");
  var empty = document.getElementById("empty");
  var older = document.getElementById("older");

  var lastEventId = cards.dataset.lastEventId;
  var pending = new Set(); // Ids are numbers, here and everywhere.
  var settleTimer = null;
  var isFetching = false;
  var wantsReload = false;
  var failures = 0;

  // --- Cards ------------------------------------------------------------------------------------

  function idOf(card) {
    return Number(card.dataset.id);
  }

  function cardOf(id) {
    return document.getElementById("execution-" + id);
  }

  function parse(html) {
    var template = document.createElement("template");
    template.innerHTML = html;
    return Array.from(template.content.querySelectorAll(".card"));
  }

  // The picture that is already shown stays: the same address means the same bytes, and nothing flickers.
  function keepPicture(from, to) {
    var shown = from.querySelector("img");
    var next = to.querySelector("img");
    if (shown && next && shown.getAttribute("src") === next.getAttribute("src")) {
      next.replaceWith(shown);
    }
  }

  function replace(old, card) {
    var hadFocus = old.contains(document.activeElement);
    keepPicture(old, card);
    if (old.classList.contains("is-new")) {
      card.classList.add("is-new");
    }
    old.replaceWith(card);
    if (hadFocus) {
      card.querySelector("a").focus();
    }
  }

  function insert(card) {
    var id = idOf(card);
    var after = Array.from(cards.children).find(function (other) {
      return idOf(other) < id;
    });
    // What is older than the whole page belongs to the older pages, unless there are none.
    if (!after && cards.children.length && !older.parentElement.hidden) {
      return;
    }
    card.classList.add("is-new");
    cards.insertBefore(card, after || null);
  }

  function show(card) {
    var old = cardOf(idOf(card));
    if (old) {
      replace(old, card);
    } else {
      insert(card);
    }
  }

  function tidy() {
    while (cards.children.length > MOST_CARDS) {
      cards.lastElementChild.remove();
      older.parentElement.hidden = false;
    }
    empty.hidden = cards.children.length > 0;
    if (cards.lastElementChild) {
      older.href = "?before=" + idOf(cards.lastElementChild);
    }
  }

  // --- Fetching ---------------------------------------------------------------------------------

  function get(address) {
    return fetch(address, { credentials: "same-origin", headers: { Accept: "text/html" } }).then(function (response) {
      if (response.redirected) {
        // Signed out meanwhile: the log-in page leads back here.
        location.reload();
        throw new Error("signed out");
      }
      if (!response.ok) {
        throw new Error("HTTP " + response.status);
      }
      return response.text();
    });
  }

  function settle(wait) {
    if (settleTimer === null && !isFetching) {
      settleTimer = setTimeout(update, wait);
    }
  }

  function update() {
    settleTimer = null;
    isFetching = true;
    var wait = SETTLE_MS;
    var job = wantsReload ? reload() : updateCards();
    wait = wantsReload ? RELOAD_MS : SETTLE_MS;
    wantsReload = false;
    job
      .then(function () {
        failures = 0;
      })
      .catch(function () {
        failures += 1;
        wait = Math.min(LONGEST_WAIT_MS, 500 * Math.pow(2, failures));
      })
      .then(function () {
        isFetching = false;
        tidy();
        if (pending.size || wantsReload) {
          settle(wait);
        }
      });
  }

  function updateCards() {
    var ids = Array.from(pending).slice(0, MOST_IDS);
    ids.forEach(function (id) {
      pending.delete(id);
    });
    return get(cards.dataset.cardsUrl + "?ids=" + ids.join(",")).then(
      function (html) {
        // Oldest first, so that each finds its place above the one before.
        parse(html).reverse().forEach(show);
      },
      function (error) {
        ids.forEach(function (id) {
          pending.add(id);
        });
        throw error;
      }
    );
  }

  // The whole list again: after an event that cannot be replayed, or when very many changed at once.
  function reload() {
    pending.clear();
    return get(location.pathname).then(
      function (html) {
        var fresh = parse(html);
        var ids = new Set(fresh.map(idOf));
        var oldest = fresh.length ? idOf(fresh[fresh.length - 1]) : 0;
        Array.from(cards.children).forEach(function (card) {
          // Cards below the fresh list were not asked for; whether they are right, nobody knows. They go.
          if (!ids.has(idOf(card)) || idOf(card) < oldest) {
            card.remove();
          }
        });
        fresh.reverse().forEach(show);
        var page = new DOMParser().parseFromString(html, "text/html");
        older.parentElement.hidden = page.getElementById("older").parentElement.hidden;
      },
      function (error) {
        wantsReload = true;
        throw error;
      }
    );
  }

  // --- The stream -------------------------------------------------------------------------------

  var source = null;
  var heardAt = Date.now();
  var reopenAt = 0;
  var refusals = 0;

  function heard(event) {
    heardAt = Date.now();
    refusals = 0;
    if (event.lastEventId) {
      lastEventId = event.lastEventId;
    }
  }

  function changed(event) {
    heard(event);
    pending.add(Number(JSON.parse(event.data).execution_id));
    settle(SETTLE_MS);
  }

  function manyChanged(event) {
    heard(event);
    wantsReload = true;
    settle(SETTLE_MS);
  }

  function open() {
    source = new EventSource(cards.dataset.eventsUrl + "?lastEventId=" + encodeURIComponent(lastEventId));
    source.addEventListener("stream-open", heard);
    source.addEventListener("keep-alive", heard);
    ["execution:new", "execution:completed", "etl:stage2:complete", "etl:stage2:failed"].forEach(function (kind) {
      source.addEventListener(kind, changed);
    });
    source.addEventListener("execution:batch", manyChanged);
    source.addEventListener("stream-reset", manyChanged);
    source.onerror = function () {
      // The browser retries a broken line by itself, but not a refusal (signed out, too many clients).
      if (source.readyState === EventSource.CLOSED) {
        refusals += 1;
        reopenAt = Date.now() + Math.min(LONGEST_WAIT_MS, 500 * Math.pow(2, refusals));
        if (refusals % 3 === 0) {
          get(cards.dataset.cardsUrl + "?ids=0").catch(function () {});
        }
      }
      tell();
    };
    source.onopen = tell;
  }

  function tell() {
    var silence = Date.now() - heardAt;
    var isOpen = source.readyState === EventSource.OPEN && silence < SILENT_MS;
    var state = isOpen ? "live" : silence < OFFLINE_MS && navigator.onLine ? "reconnecting" : "offline";
    if (line.dataset.state !== state) {
      line.dataset.state = state;
      line.textContent = line.dataset[state];
    }
  }

  function watch() {
    var isDead = source.readyState === EventSource.OPEN && Date.now() - heardAt > SILENT_MS;
    if (isDead || (source.readyState === EventSource.CLOSED && Date.now() > reopenAt)) {
      source.close();
      open();
    }
    tell();
  }

  window.addEventListener("pagehide", function () {
    source.close();
  });
  // A page that comes back from the browser's cache is as old as when it was left.
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) {
      open();
    }
  });

  open();
  setInterval(watch, 1000);
})();
