-- What comes most?
SELECT type, count(*) FROM github_events GROUP BY type ORDER BY 2 DESC, 1;

-- How much of everything, and when?
SELECT count(*), count(DISTINCT actor_id), count(DISTINCT repo_id), count(org_login), sum(id), min(created_at), max(created_at) FROM github_events;

-- Who pushes most?
SELECT actor_login, count(*), sum((payload->>'size')::int) FROM github_events WHERE type = 'PushEvent' GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1 LIMIT 5;

-- How many commits are in a push?
SELECT sum(jsonb_array_length(payload->'commits')), max((payload->>'distinct_size')::int), count(*) FILTER (WHERE payload->>'ref' = 'refs/heads/main') FROM github_events WHERE type = 'PushEvent';

-- What happens to pull requests?
SELECT payload->>'action' AS action, count(*), sum((payload->'pull_request'->>'additions')::int), bool_or((payload->'pull_request'->>'merged')::bool) FROM github_events WHERE type = 'PullRequestEvent' GROUP BY 1 ORDER BY 1;

-- Which organisations are busiest?
SELECT coalesce(org_login, '(none)'), count(*) FROM github_events GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 6;

-- Which issues?
SELECT id, repo_name, payload #>> '{issue,title}' FROM github_events WHERE type = 'IssuesEvent' ORDER BY id LIMIT 8;

-- What is made?
SELECT payload->>'ref_type', count(*), count(payload->>'description') FROM github_events WHERE type = 'CreateEvent' GROUP BY 1 ORDER BY 1;

-- Is every payload as it was sent?
SELECT count(payload), sum(length(payload::text)), md5(string_agg(payload::text, '|' ORDER BY id)) FROM github_events;

-- And what has no column of its own?
SELECT count(rest), count(rest->'org'), sum(length(rest::text)), md5(string_agg(rest::text, '|' ORDER BY id)) FROM github_events;

-- Bots, by what follows the login
SELECT count(*) FILTER (WHERE actor_login LIKE '%[bot]'), count(*) FILTER (WHERE rest->'actor'->>'display_login' <> actor_login), bool_and(public) FROM github_events;
