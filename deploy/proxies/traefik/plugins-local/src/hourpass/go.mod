module hourpass

go 1.21
